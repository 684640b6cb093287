"""Pictures of stored photos for pages. What has to be computed is made once and stored beside the photo."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from service.photos.pictures import Picture, browser_picture, thumbnail_jpeg, upright_jpeg
from service.photos.reader import PhotoReader
from service.tickets.blob_store import BlobStore
from vqc.image import PhotoLimits

_JPEG = "image/jpeg"


class TicketPictures:
    """Pictures by the digest of the photo.

    Every method raises ``BlobMissing`` for a photo that is not stored, ``PhotoRejected`` for one that cannot be read, and
    ``QueueUnavailable``.
    """

    def __init__(self, blobs: BlobStore, reader: PhotoReader) -> None:
        self._blobs = blobs
        self._reader = reader
        self._making: dict[tuple[str, str], asyncio.Task[bytes]] = {}

    async def thumbnail(self, digest: str) -> Picture:
        """A small JPEG."""
        return Picture(data=await self._derive("thumbnails", digest, thumbnail_jpeg), media_type=_JPEG)

    async def whole(self, digest: str) -> Picture:
        """The photo in full size, as the engine gets it where browsers show that upright."""
        picture = await self._reader.render(browser_picture, await self._blobs.get(digest))
        return picture or Picture(data=await self._derive("upright", digest, upright_jpeg), media_type=_JPEG)

    async def _derive(self, kind: str, digest: str, make: Callable[[bytes, PhotoLimits], bytes]) -> bytes:
        """The stored picture, or a new one. Several requests for one picture wait for the same making of it."""
        if (stored := await self._blobs.get_derived(kind, digest)) is not None:
            return stored
        key = (kind, digest)
        if key not in self._making:
            task = asyncio.create_task(self._make(kind, digest, make))
            self._making[key] = task
            task.add_done_callback(lambda _: self._making.pop(key))
        return await asyncio.shield(self._making[key])  # one request that ends must not end it for the others

    async def _make(self, kind: str, digest: str, make: Callable[[bytes, PhotoLimits], bytes]) -> bytes:
        picture = await self._reader.render(make, await self._blobs.get(digest))
        await self._blobs.put_derived(kind, digest, picture)
        return picture
