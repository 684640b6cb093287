"""uvicorn's HTTP protocol with limits on what a connection may cost: see ``http_limits``.

uvicorn bounds neither the size of a head nor the time of head, body or response, so these are kept here: a subclass of its
httptools protocol, whose callbacks count bytes and start timers. A limit that strikes while the application reads the body is
raised there, so that its answer, log line and metrics are the application's; before that the protocol answers itself.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Literal

import httptools
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from typing_extensions import override
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from service.platform.errors import BodyTimeout, BytesOverloaded
from service.platform.http_connections import BytesInFlight, ConnectionTable
from service.platform.http_limits import HttpLimits
from vqc.errors import VqcError

HeadRefusal = Literal["malformed", "head_too_large", "head_timeout"]
RESERVED = "vqc_reserved"
"""In the scope of a request whose connection has a reserved place: it is served only what probes ask for."""
BODY_BYTES = "vqc_body_bytes"
"""In the scope of a request: the bytes that its body counts with among those in flight."""
_AHEAD = 8
"""A body counts with this multiple of what has arrived, up to its declared length.

Counted as it arrives, many large bodies would all get far before most are rejected; counted as it is declared, a few heads
would take all the room.
"""
_REFUSALS: dict[HeadRefusal, tuple[int, str, str]] = {
    "malformed": (400, "malformed-request", "The request is malformed"),
    "head_too_large": (431, "head-too-large", "The request line and headers are too large"),
    "head_timeout": (408, "head-timeout", "The request line and headers did not arrive in time"),
}


@dataclass(slots=True, kw_only=True)
class ServerLimits:
    """The limits of one server and what counts against them. ``record`` counts the heads that were refused."""

    limits: HttpLimits
    connections: ConnectionTable
    bytes: BytesInFlight
    record: Callable[[HeadRefusal], None] = field(default=lambda refusal: None)


def server_limits(limits: HttpLimits, record: Callable[[HeadRefusal], None] = lambda refusal: None) -> ServerLimits:
    """The counters of a new server."""
    return ServerLimits(
        limits=limits,
        connections=ConnectionTable(limits.connections, limits.reserved),
        bytes=BytesInFlight(limits.bytes_in_flight),
        record=record,
    )


class _Refused(Exception):
    """Stops the parser inside one of its callbacks."""


class _GentleTransport:
    """The transport of a connection, whose ``close`` lets a caller that still sends read the response first."""

    def __init__(self, transport: asyncio.Transport, close: Callable[[], None]) -> None:
        self._transport = transport
        self.close = close

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class LimitedProtocol(HttpToolsProtocol):
    """One connection."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        server: ServerLimits,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._application: ASGIApp = self.app  # type: ignore[assignment]
        self.app = self._run  # type: ignore[assignment, method-assign]
        self._server = server
        self._limits = server.limits
        self._timer: asyncio.TimerHandle | None = None
        self._send_timer: asyncio.TimerHandle | None = None
        self._in_body = False  # else in a head, or before one
        self._closing = False
        self._reserved = False
        self._refusal: HeadRefusal | None = None
        self._head_bytes = self._head_fields = 0
        self._unread = 0  # bytes since the last one that completed a head or belonged to a body
        self._body_bytes = self._body_length = 0
        self._body_error: VqcError | None = None

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.transport = _GentleTransport(transport, self._close)  # type: ignore[assignment]
        self._reserved = not self._server.connections.add(self)
        self._start_timer(self._limits.head_timeout_s, self._end_head)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._closing = True
        self._server.connections.remove(self)
        self._stop_timer()
        self._stop_send_timer()
        while self.pipeline:  # requests that will never start
            cycle, _ = self.pipeline.pop()
            self._server.bytes.release(cycle.scope[BODY_BYTES])  # type: ignore[typeddict-item]
        super().connection_lost(exc)

    def end(self) -> None:
        """Ends the connection at once, to make room."""
        self._closing = True
        self.transport.abort()

    @override
    def data_received(self, data: bytes) -> None:
        if self._closing or self.parser is None:
            return
        self._unset_keepalive_if_required()
        self._unread += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # to a protocol that is not spoken here: the request is answered as it is
        except httptools.HttpParserError:
            self._refuse(self._refusal or "malformed")
            return
        if self._closing:
            return
        if self._unread > self._limits.head_bytes:
            self._refuse("head_too_large")
        elif self._timer is None and self._in_body:
            self._watch_body(self.loop.time() + self._limits.body_timeout_s)
        elif self._timer is None and (self.cycle is None or self.cycle.response_complete):
            self._start_timer(self._limits.head_timeout_s, self._end_head)

    # The parser's callbacks. What they raise becomes an HttpParserError of feed_data.

    @override
    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head_bytes = self._head_fields = 0

    @override
    def on_url(self, url: bytes) -> None:
        self._count_head(len(url))
        super().on_url(url)

    @override
    def on_header(self, name: bytes, value: bytes) -> None:
        self._head_fields += 1
        self._count_head(len(name) + len(value) + 4)
        if self._head_fields > self._limits.head_fields:
            self._stop_parser("head_too_large")
        if not self._in_body:  # else a trailer: nothing reads those
            super().on_header(name, value)

    @override
    def on_headers_complete(self) -> None:
        if len(self.pipeline) >= self._limits.pipelined:
            self._stop_parser("malformed")
        if not self.url.startswith(b"/") and not self._names_its_host():
            self._stop_parser("malformed")
        self._stop_timer()
        self._in_body = True
        self._head_bytes = self._unread = self._body_bytes = 0
        self._body_error = None
        self._body_length = next((int(value) for name, value in self.headers if name == b"content-length"), 0)
        self.scope[BODY_BYTES] = 0  # type: ignore[typeddict-unknown-key]
        super().on_headers_complete()
        self._server.connections.move(self, "uploading")

    @override
    def on_body(self, body: bytes) -> None:
        self._unread = 0
        if self.cycle.response_complete or self._body_error is not None:
            return
        self._body_bytes += len(body)
        counted: int = self.cycle.scope[BODY_BYTES]  # type: ignore[typeddict-item]
        wanted = max(self._body_bytes, min(self._body_length, self._body_bytes * _AHEAD))
        if wanted > counted:
            if not self._server.bytes.take(wanted - counted):
                self._fail_body(BytesOverloaded(self._server.bytes.limit))
                return
            self.cycle.scope[BODY_BYTES] = wanted  # type: ignore[typeddict-unknown-key]
        super().on_body(body)

    @override
    def on_message_complete(self) -> None:
        self._stop_timer()
        self._in_body = False
        self._unread = 0
        self._server.connections.move(self, "answering")
        super().on_message_complete()

    @override
    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self._closing and not self.pipeline and self.timeout_keep_alive_task is not None:
            self._server.connections.move(self, "idle")

    # Slow readers.

    @override
    def pause_writing(self) -> None:
        super().pause_writing()
        self._server.connections.move(self, "stranger")
        if self._send_timer is None:
            self._send_timer = self.loop.call_later(self._limits.send_timeout_s, self.end)

    @override
    def resume_writing(self) -> None:
        super().resume_writing()
        if not self._closing:
            self._stop_send_timer()
            self._server.connections.move(self, "answering")

    async def _run(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Runs the application for one request; raises in its ``receive`` what ended the body early."""
        cycle: RequestResponseCycle = receive.__self__  # type: ignore[attr-defined]  # not self.cycle: that is the last one
        if self._reserved:
            scope[RESERVED] = True

        async def receive_in_time() -> Message:
            message = await receive()
            if cycle is self.cycle and self._body_error is not None:
                raise self._body_error
            return message

        async def send_last(message: Message) -> None:
            if message["type"] == "http.response.start" and (cycle.more_body or self._reserved):
                cycle.keep_alive = False
            await send(message)

        try:
            await self._application(scope, receive_in_time, send_last)
        finally:
            self._server.bytes.release(scope[BODY_BYTES])

    def _count_head(self, count: int) -> None:
        self._head_bytes += count
        if self._head_bytes > self._limits.head_bytes:
            self._stop_parser("head_too_large")

    def _stop_parser(self, refusal: HeadRefusal) -> None:
        self._refusal = refusal
        raise _Refused

    def _names_its_host(self) -> bool:
        """Whether a request line with a whole URL names the host of the ``Host`` header, which is the one that is checked."""
        host = httptools.parse_url(self.url).host
        hosts = [value for name, value in self.headers if name == b"host"]
        return host is not None and len(hosts) == 1 and hosts[0].lower().partition(b":")[0] == host.lower()

    def _watch_body(self, deadline: float) -> None:
        """Checks after each window whether enough of the body has arrived."""
        before, paused = self._body_bytes, self.flow.read_paused

        def check() -> None:
            slow = self._body_bytes - before < self._limits.body_bytes_per_s * self._limits.body_window_s
            # While we do not read, the caller cannot send.
            if self.loop.time() >= deadline or (slow and not paused and not self.flow.read_paused):
                self._fail_body(BodyTimeout(self._limits.body_bytes_per_s, self._limits.body_timeout_s))
            else:
                self._watch_body(deadline)

        window_s = min(self._limits.body_window_s, max(0.0, deadline - self.loop.time()))
        self._start_timer(window_s, check)

    def _fail_body(self, error: VqcError) -> None:
        """Raises the error where the application reads the body, or will."""
        self._stop_timer()
        self._body_error = error
        self.cycle.message_event.set()

    def _end_head(self) -> None:
        if self._unread:
            self._refuse("head_timeout")
        else:
            self._close()  # a socket on which nothing came, such as a browser opens ahead of time

    def _refuse(self, refusal: HeadRefusal) -> None:
        """Answers a request that the application never sees, or sees no end of, and closes the connection."""
        self._server.record(refusal)
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            if cycle.response_started or not self._in_body:
                self.end()
                return
            cycle.disconnected = True
            cycle.message_event.set()
        status, slug, title = _REFUSALS[refusal]
        body = json.dumps(
            {"type": f"urn:vqc:problem:{slug}", "title": title, "status": status, "detail": title}
        ).encode()
        head = (
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-type: application/problem+json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self._in_body = True  # whatever it still sends is no request
        self._close()

    def _close(self) -> None:
        """Closes the connection once the response is sent, and what a caller still sends is read and dropped for a while."""
        if self._closing:
            return
        self._closing = True
        self._stop_timer()
        self._stop_send_timer()
        self._unset_keepalive_if_required()
        self._server.connections.move(self, "stranger")
        if self.cycle is not None:
            self.cycle.body = bytearray()
        transport: asyncio.Transport = self.transport._transport  # type: ignore[attr-defined]
        if self._in_body and transport.can_write_eof() and not transport.is_closing():
            self.flow.resume_reading()
            transport.write_eof()
            self._send_timer = self.loop.call_later(self._limits.linger_s, transport.abort)
        else:
            transport.close()
            self._send_timer = self.loop.call_later(self._limits.send_timeout_s, transport.abort)

    def _start_timer(self, seconds: float, run: Callable[[], None]) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(seconds, run)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _stop_send_timer(self) -> None:
        if self._send_timer is not None:
            self._send_timer.cancel()
            self._send_timer = None
