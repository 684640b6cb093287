"""Photos by their digest in a directory or an object store: whatever ``fsspec`` speaks (``s3://…`` needs ``s3fs``)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from typing import TypeVar
from uuid import uuid4

import fsspec
from fsspec.implementations.local import LocalFileSystem

from service.platform.errors import BlobMissing, QueueUnavailable
from vqc.errors import InvalidValue

_T = TypeVar("_T")


class FsspecBlobStore:
    """The ``BlobStore`` below a path or URL; blobs are at ``<first two of the digest>/<digest>``.

    Raises:
        InvalidValue: a URL whose file system is not installed or cannot be opened.
    """

    def __init__(self, url: str) -> None:
        try:
            self._files, self._root = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError, OSError) as error:
            raise InvalidValue("VQC_BLOBS", url, f"must be a directory or a URL that fsspec opens: {error}") from error

    async def put(self, digest: str, data: bytes) -> None:
        """See ``BlobStore``."""
        await self._called(lambda: self._put(self._path(digest), data))

    async def get(self, digest: str) -> bytes:
        """See ``BlobStore``."""
        try:
            data: bytes = await self._called(lambda: self._files.cat_file(self._path(digest)))
        except FileNotFoundError as error:
            raise BlobMissing(digest, "is not in the store") from error
        if sha256(data).hexdigest() != digest:
            raise BlobMissing(digest, "has other bytes in the store than were put")
        return data

    async def remove(self, before: datetime) -> int:
        """See ``BlobStore``."""
        return await self._called(lambda: self._remove(before))

    async def ping(self) -> None:
        """Returns when the store can be written to."""
        await self._called(lambda: self._files.makedirs(self._root, exist_ok=True))

    def _put(self, path: str, data: bytes) -> None:
        if not isinstance(self._files, LocalFileSystem):
            return self._files.pipe_file(path, data)  # an object store writes all or nothing itself
        self._files.makedirs(path.rpartition("/")[0], exist_ok=True)
        beside = f"{path}.{uuid4().hex}"
        self._files.pipe_file(beside, data)
        self._files.mv(beside, path)
        return None

    def _remove(self, before: datetime) -> int:
        old = []
        for path in self._files.find(self._root):
            modified = self._files.modified(path)
            if (modified if modified.tzinfo else modified.replace(tzinfo=UTC)) < before:
                old.append(path)
        for path in old:
            self._files.rm_file(path)
        return len(old)

    def _path(self, digest: str) -> str:
        return f"{self._root}/{digest[:2]}/{digest}"

    async def _called(self, call: Callable[[], _T]) -> _T:
        try:
            return await asyncio.to_thread(call)
        except FileNotFoundError:
            raise
        except Exception as error:  # each file system raises errors of its own
            raise QueueUnavailable(f"the photo store: {error}") from error
