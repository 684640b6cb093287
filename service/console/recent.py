"""A reading that many pages poll: made once for all who ask within a second."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

_T = TypeVar("_T")


class Recent(Generic[_T]):
    """The last reading. A hundred people who look at a page cost its store as much as one."""

    def __init__(self, keep_s: float = 1.0) -> None:
        self._keep_s = keep_s
        self._reading: asyncio.Future[_T] | None = None
        self._at_s = 0.0

    async def get(self, read: Callable[[], Awaitable[_T]]) -> _T:
        """The reading of the last second, else a new one; its error too, for as long."""
        now_s = asyncio.get_running_loop().time()
        if self._reading is None or now_s - self._at_s >= self._keep_s:
            self._at_s = now_s
            self._reading = asyncio.ensure_future(read())
        return await asyncio.shield(self._reading)
