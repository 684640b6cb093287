"""Reads photos off the event loop, a bounded number at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter
from typing import TypeVar

from opentelemetry.trace import get_tracer

from service.photos.observe import PhotoObserver
from vqc.errors import PhotoRejected
from vqc.image import CanonicalPhoto, EncodedPhoto, PhotoLimits, canonical_photo, original_photo, passthrough_photo

_T = TypeVar("_T")

PhotoSource = Callable[[], Awaitable[bytes]]
"""Loads one encoded photo when it is needed."""

FetchPhoto = Callable[[str], Awaitable[bytes]]
"""Fetches the photo behind a URL. Raises ``UrlRejected`` or ``FetchFailed``."""

INLINE_BYTES = 256 * 1024
"""A canonical photo up to this size is read on the event loop: that takes less time than the way to a thread and back."""

_tracer = get_tracer("vqc.photos")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadPhoto:
    """A canonical photo and the milliseconds that reading it took."""

    photo: CanonicalPhoto
    read_ms: float


class PhotoReader:
    """Turns encoded bytes into canonical photos; photos that must be converted run on ``threads`` threads.

    A conversion holds up to 20 bytes per pixel (HEIC to WebP): the number of threads bounds the memory.
    """

    def __init__(self, limits: PhotoLimits, threads: int, observer: PhotoObserver | None = None) -> None:
        self.limits = limits
        self._observer = observer or PhotoObserver()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="photo")

    async def __call__(self, data: bytes) -> CanonicalPhoto:
        """The canonical photo. Raises ``PhotoRejected``."""
        return (await self.read(data)).photo

    async def read(self, data: bytes) -> ReadPhoto:
        """The canonical photo and how long it took. Raises ``PhotoRejected``."""
        started = perf_counter()
        try:
            with _tracer.start_as_current_span("read photo"):
                photo = await self._convert(data)
        except PhotoRejected as error:
            self._observer.record_rejected_photo(error.reason)
            raise
        seconds = perf_counter() - started
        self._observer.record_photo(seconds, passed_through=photo.passed_through)
        return ReadPhoto(photo=photo, read_ms=seconds * 1000)

    async def check(self, data: bytes) -> EncodedPhoto:
        """The photo as it came; no pixel of it is computed. Raises ``PhotoRejected`` for what its structure shows."""
        try:
            if len(data) <= INLINE_BYTES:
                return original_photo(data, self.limits)
            return await self.render(original_photo, data)
        except PhotoRejected as error:
            self._observer.record_rejected_photo(error.reason)
            raise

    async def render(self, make: Callable[[bytes, PhotoLimits], _T], data: bytes) -> _T:
        """What ``make`` makes of the photo, on one of the threads."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, make, data, self.limits)

    def close(self) -> None:
        """Ends the threads once their photos are done."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _convert(self, data: bytes) -> CanonicalPhoto:
        if len(data) <= INLINE_BYTES and (photo := passthrough_photo(data, self.limits)):
            return photo
        return await self.render(canonical_photo, data)
