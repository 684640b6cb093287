"""How much work is in flight, and waiting until none is: for an engine, a deployment or a server that drains."""

from __future__ import annotations

import asyncio
from contextlib import suppress


class InFlight:
    """Counts work in flight; ``drain`` waits until there is none. For one event loop.

    >>> work = InFlight()
    >>> work.acquire()
    >>> work.count, asyncio.run(work.drain(0.0))
    (1, 1)
    >>> work.release()
    >>> work.count, asyncio.run(work.drain(60.0))
    (0, 0)
    """

    def __init__(self) -> None:
        self.count = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def acquire(self) -> None:
        """Counts one more piece of work."""
        self.count += 1
        self._idle.clear()

    def release(self) -> None:
        """Counts one piece of work less."""
        self.count -= 1
        if not self.count:
            self._idle.set()

    async def drain(self, limit_s: float) -> int:
        """Waits until no work is in flight, at most ``limit_s``; returns how much still is.

        New work may begin meanwhile: the caller stops it first.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                await self._idle.wait()
        return self.count
