"""Starts our own API on the scripted engine, waits until it is ready, stops it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Literal

from loadtest.errors import BenchFailed
from loadtest.http.requests import Answer, AnswerReader, Target

READY_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 15.0
_NOT_OURS = ("VQC_API_KEYS_FILE", "VQC_ENGINE_URL", "VQC_MODEL", "VQC_REGISTRY", "VQC_CANARY", "VQC_SHADOW")


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredServer:
    """A running API: where it listens and its process."""

    target: Target
    process: asyncio.subprocess.Process
    log: Path

    def check_alive(self) -> None:
        """Raises ``BenchFailed`` with the end of its log when the process has ended."""
        if self.process.returncode is not None:
            raise BenchFailed(f"the API ended with code {self.process.returncode}; its log ends:\n{tail(self.log)}")


@asynccontextmanager
async def running_api(
    max_in_flight: int,
    settings: Mapping[str, str] | None = None,
    *,
    command: Literal["api", "up"] = "api",
    ready_timeout_s: float = READY_TIMEOUT_S,
    tree: Path | None = None,
) -> AsyncGenerator[MeasuredServer, None]:
    """Our API (``up``: with a worker) on the scripted engine and a free port of 127.0.0.1, or as ``settings`` say.

    It is stopped in any case.

    ``tree`` is another checkout whose code runs instead of this one's.
    ``VQC_…`` variables of the caller hold, so that settings can be compared; those that name an engine or keys do not.

    Raises:
        BenchFailed: it does not get ready; the message has the end of its log.
    """
    target = Target(host="127.0.0.1", port=_free_port())
    with tempfile.TemporaryDirectory(prefix="vqc-bench-") as folder:
        log = Path(folder) / "api.log"
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "service.cli", command),
                cwd=tree,
                env=server_environment(target.port, max_in_flight) | dict(settings or {}) | _code_of(tree),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C is ours; it gets SIGTERM
            )
        server = MeasuredServer(target=target, process=process, log=log)
        try:
            await _ready(server, ready_timeout_s)
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


async def get(target: Target, path: str) -> Answer:
    """The answer to one GET. Raises ``OSError`` or ``BenchFailed``."""
    stream, writer = await asyncio.open_connection(target.host, target.port)
    try:
        writer.write(target.head("GET", path, Connection="close"))
        reader = AnswerReader()
        while data := await stream.read(65536):
            if answer := reader.feed(data):
                return answer
        raise BenchFailed(f"GET {path}: the connection closed before the answer was complete")
    finally:
        writer.close()


def tail(path: Path, lines: int = 20) -> str:
    """The last lines of a text file."""
    return "\n".join(path.read_text("utf-8", "replace").splitlines()[-lines:])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def _ready(server: MeasuredServer, timeout_s: float) -> None:
    deadline, state = perf_counter() + timeout_s, "nobody listens"
    while perf_counter() < deadline:
        server.check_alive()
        with suppress(OSError):
            answer = await get(server.target, "/readyz")
            if answer.status == 200:
                return
            state = f"/readyz says {answer.status} {answer.body[:300].decode('utf-8', 'replace')}"
        await asyncio.sleep(0.05)
    raise BenchFailed(f"the API is not ready after {timeout_s:g} s: {state}; its log ends:\n{tail(server.log)}")


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
