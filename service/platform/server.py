"""Serves the application and drains it: readiness off, wait while work is still admitted, stop accepting, finish the rest."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from service.platform.admission import AdmissionControl
from service.platform.http_limits import HttpLimits
from service.platform.http_protocol import LimitedProtocol, ServerLimits, server_limits


class DrainingServer(uvicorn.Server):
    """A server that drains at the first SIGTERM or SIGINT and stops at once at the second."""

    def __init__(self, config: uvicorn.Config, admission: AdmissionControl, drain_delay_s: float) -> None:
        super().__init__(config)
        self._admission = admission
        self._drain_delay_s = drain_delay_s

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Handles a signal."""
        if self._admission.leaving:
            self.should_exit = self.force_exit = True
            return
        self._admission.leaving = True
        # Not yet closed: load balancers go on sending until their next readiness probe, and these requests must be served.
        loop = asyncio.get_event_loop()
        loop.call_soon_threadsafe(loop.call_later, self._drain_delay_s, self._stop)

    def _stop(self) -> None:
        self._admission.draining = True
        self.should_exit = True


def server(
    app: ASGIApp,
    admission: AdmissionControl,
    limits: ServerLimits,
    *,
    host: str,
    port: int,
    drain_delay_s: float,
    drain_timeout_s: float,
) -> DrainingServer:
    """The server. Requests that are still in flight ``drain_timeout_s`` after the socket has closed are cancelled."""
    config = _config(app, limits, host, port)
    config.timeout_graceful_shutdown = round(drain_timeout_s)
    return DrainingServer(config, admission, drain_delay_s)


def _config(app: ASGIApp, limits: ServerLimits, host: str, port: int) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        http=partial(LimitedProtocol, server=limits),  # type: ignore[arg-type]  # whatever makes a protocol
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # the application knows its proxies (``VQC_TRUSTED_PROXIES``)
        timeout_keep_alive=limits.limits.idle_timeout_s,  # type: ignore[arg-type]  # call_later takes fractions
    )


class _SideServer(uvicorn.Server):
    """A server that leaves signals to its process."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def serve_beside(app: ASGIApp, host: str, port: int | None) -> AsyncGenerator[None, None]:
    """Serves ``app`` while the block runs; does nothing if ``port`` is None."""
    if port is None:
        yield
        return
    server = _SideServer(_config(app, server_limits(HttpLimits(connections=64)), host, port))
    serving = asyncio.ensure_future(server.serve())
    try:
        yield
    finally:
        server.should_exit = True
        await serving
