"""Reads photos off the event loop, a bounded number at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

from vqc.image import CanonicalPhoto, PhotoLimits, canonical_photo, passthrough_photo

PhotoSource = Callable[[], Awaitable[bytes]]
"""Brings one encoded photo when it is its turn."""

FetchPhoto = Callable[[str], Awaitable[bytes]]
"""Brings the photo behind a URL. Raises ``UrlRejected`` or ``FetchFailed``."""


AT_ONCE_BYTES = 256 * 1024
"""A photo up to this size that is canonical already takes less than a thread's turn: it is read where it is asked for."""


class PhotoReader:
    """Turns encoded bytes into canonical photos, those that must be converted on ``threads`` threads.

    A photo that must be converted holds about 10 bytes a pixel while it is: the number of threads bounds the memory.
    """

    def __init__(self, limits: PhotoLimits, threads: int) -> None:
        self.limits = limits
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="photo")

    async def __call__(self, data: bytes) -> CanonicalPhoto:
        """The canonical photo. Raises ``PhotoRejected``."""
        if len(data) <= AT_ONCE_BYTES and (photo := passthrough_photo(data, self.limits)):
            return photo
        return await asyncio.get_running_loop().run_in_executor(self._pool, canonical_photo, data, self.limits)

    def close(self) -> None:
        """Gives the threads back once their photo is done."""
        self._pool.shutdown(wait=False, cancel_futures=True)
