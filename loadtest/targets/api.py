"""Starts our own API on the scripted engine, waits until it is ready, stops it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from time import perf_counter
from typing import IO, Literal

from loadtest.errors import BenchFailed
from loadtest.http.connection import ConnectionLost, Pool
from loadtest.http.requests import Target
from loadtest.targets.server import RunningServer

READY_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 15.0
_NOT_OURS = ("VQC_API_KEYS_FILE", "VQC_ENGINE_URL", "VQC_MODEL", "VQC_REGISTRY", "VQC_CANARY", "VQC_SHADOW")


@asynccontextmanager
async def running_api(
    max_in_flight: int,
    settings: Mapping[str, str] | None = None,
    *,
    command: Literal["api", "up"] = "api",
    ready_timeout_s: float = READY_TIMEOUT_S,
    tree: Path | None = None,
) -> AsyncGenerator[RunningServer, None]:
    """Our API (``up``: with a worker) on the scripted engine and a free port of 127.0.0.1; ``settings`` override both.

    ``tree`` is another checkout to run instead of this one. The caller's ``VQC_…`` variables apply, so that settings can be
    compared, except those that name an engine or keys. The API is stopped on exit.

    Raises:
        BenchFailed: it does not become ready; the message has the end of its log.
    """
    target = Target(host="127.0.0.1", port=_free_port())
    with tempfile.TemporaryDirectory(prefix="vqc-bench-") as folder:
        log = Path(folder) / "api.log"
        with log.open("wb") as output:
            environment = server_environment(target.port, max_in_flight) | dict(settings or {}) | _code_of(tree)
            process = await _start([sys.executable, "-m", "service.cli", command], environment, tree, output)

        def check_alive() -> None:
            if process.returncode is not None:
                raise BenchFailed(f"the API ended with code {process.returncode}; its log ends:\n{tail(log)}")

        server = RunningServer(target=target, pid=process.pid, check_alive=check_alive)
        try:
            await _wait_ready(server, log, ready_timeout_s)
            yield server
        finally:
            await _stop(process)


def server_environment(port: int, max_in_flight: int) -> dict[str, str]:
    """The environment of the measured API."""
    return {name: value for name, value in os.environ.items() if name not in _NOT_OURS} | {
        "VQC_HOST": "127.0.0.1",
        "VQC_PORT": str(port),
        "VQC_ENGINE": "scripted",
        "VQC_STAGE_B": "off",
        "VQC_MAX_IN_FLIGHT": str(max_in_flight),
        "VQC_LOG_LEVEL": "warning",
    }


def _code_of(tree: Path | None) -> dict[str, str]:
    return {} if tree is None else {"PYTHONPATH": str(tree.absolute())}


def tail(path: Path, lines: int = 20) -> str:
    """The last lines of a text file."""
    return "\n".join(path.read_text("utf-8", "replace").splitlines()[-lines:])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def _start(
    command: Sequence[str], environment: Mapping[str, str], folder: Path | None, output: IO[bytes]
) -> asyncio.subprocess.Process:
    starting = asyncio.ensure_future(
        asyncio.create_subprocess_exec(
            *command,
            cwd=folder,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C must reach only this process, which then sends SIGTERM to the API
        )
    )
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        # The process may exist already: stop it, or it would outlive us.
        await _stop(await starting)
        raise


async def _wait_ready(server: RunningServer, log: Path, timeout_s: float) -> None:
    deadline, state, pool = perf_counter() + timeout_s, "nothing listens on its port", Pool(server.target)
    while perf_counter() < deadline:
        server.check_alive()
        with suppress(OSError, ConnectionLost):
            reply = await pool.exchange(server.target.head("GET", "/readyz", Connection="close"))
            if reply.status == 200:
                return
            state = f"/readyz returns {reply.status} {reply.body[:300].decode('utf-8', 'replace')}"
        await asyncio.sleep(0.05)
    raise BenchFailed(f"the API is not ready after {timeout_s:g} s: {state}; its log ends:\n{tail(log)}")


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await process.wait()
        except TimeoutError:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
