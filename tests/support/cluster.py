"""Processes that stand in for pods, and a Service in front of them, as Kubernetes does it.

``Service`` forwards connections (not requests) to pods that are ready, like kube-proxy; ``Pod`` is a process with its
readiness; ``roll`` replaces pods one at a time: the new one is ready before an old one is told to leave.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[2]
Address = Path | tuple[str, int]
_PROBE_S = 0.1


@dataclass(kw_only=True)
class Pod:
    """A process. ``probe`` is the URL of its readiness, or None for one that is ready when ``address`` accepts connections.

    ``pause_s`` is its preStop: the time between its removal from the Service and SIGTERM.
    """

    command: Sequence[str]
    environment: dict[str, str]
    address: Address
    probe: str | None
    log: Path
    pause_s: float = 0.0
    process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Starts it and returns once it is ready."""
        with self.log.open("w") as log:
            self.process = await asyncio.create_subprocess_exec(
                *self.command, cwd=ROOT, env=self.environment, stdout=log, stderr=log
            )
        while not await self.ready():
            assert self.process.returncode is None, self.log.read_text()[-2000:]
            await asyncio.sleep(_PROBE_S)

    async def ready(self) -> bool:
        """Whether the readiness probe succeeds."""
        try:
            if self.probe is None:
                _, writer = await _connect(self.address)
                writer.close()
                return True
            async with httpx.AsyncClient(timeout=5) as client:
                return (await client.get(self.probe)).status_code == 200
        except (OSError, httpx.TransportError):
            return False

    async def leave(self) -> None:
        """preStop, SIGTERM, and the end of the process, which must be a clean one."""
        assert self.process is not None
        await asyncio.sleep(self.pause_s)
        self.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(120):
            assert await self.process.wait() == 0, self.log.read_text()[-2000:]

    async def kill(self) -> None:
        """Ends the process, if it still runs."""
        if self.process is not None:
            if self.process.returncode is None:
                self.process.kill()
            await self.process.wait()


@dataclass(kw_only=True)
class Service:
    """Forwards each connection to the next of the pods that were ready at the last probe."""

    pods: list[Pod] = field(default_factory=list)
    port: int = 0
    _ready: list[Pod] = field(default_factory=list)
    _turn: count[int] = field(default_factory=count)

    @asynccontextmanager
    async def listening(self) -> AsyncGenerator[None, None]:
        """Accepts on ``port`` of loopback inside the block."""
        server = await asyncio.start_server(self._forward, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        probing = asyncio.ensure_future(self._probe())
        try:
            yield
        finally:
            probing.cancel()
            await asyncio.gather(probing, return_exceptions=True)
            server.close()

    async def has(self, pod: Pod) -> None:
        """Returns once connections go to the pod."""
        while pod not in self._ready:
            await asyncio.sleep(_PROBE_S)

    def remove(self, pod: Pod) -> None:
        """Sends it no further connection; those that it has stay."""
        self.pods.remove(pod)
        self._ready = [ready for ready in self._ready if ready is not pod]

    async def _probe(self) -> None:
        while True:
            answers = await asyncio.gather(*(pod.ready() for pod in list(self.pods)))
            self._ready = [pod for pod, ready in zip(self.pods, answers, strict=False) if ready and pod in self.pods]
            await asyncio.sleep(_PROBE_S)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.CancelledError):
            if self._ready:
                pod = self._ready[next(self._turn) % len(self._ready)]
                there, back = await _connect(pod.address)
                await asyncio.gather(_copy(reader, back), _copy(there, writer))
        writer.close()


async def roll(pods: list[Pod], fresh: Callable[[int], Pod], service: Service | None = None) -> list[Pod]:
    """Replaces every pod, one after the other, and returns the new ones."""
    new: list[Pod] = []
    for index, old in enumerate(pods):
        pod = fresh(index)
        await pod.start()
        new.append(pod)
        if service is not None:
            service.pods.append(pod)
            await service.has(pod)
            if old.pause_s:  # the preStop goes with the removal; who gives notice itself is removed by its readiness
                service.remove(old)
        await old.leave()
        if service is not None and old in service.pods:
            service.remove(old)
    return new


async def started(pods: Sequence[Pod]) -> None:
    """Returns once all of them are ready."""
    starting: list[Awaitable[None]] = [pod.start() for pod in pods]
    await asyncio.gather(*starting)


def own_environment(**given: str) -> dict[str, str]:
    """This process's variables without any VQC_ of its own, and those given."""
    return {name: value for name, value in os.environ.items() if not name.startswith("VQC_")} | given


def python(*words: str) -> list[str]:
    """A command of this interpreter."""
    return [sys.executable, *words]


async def _connect(address: Address) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if isinstance(address, Path):
        return await asyncio.open_unix_connection(address)
    return await asyncio.open_connection(*address)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Passes bytes on until the sender closes; then the receiver hears of it."""
    with suppress(ConnectionError):
        while data := await reader.read(2**16):
            writer.write(data)
            await writer.drain()
    writer.close()
