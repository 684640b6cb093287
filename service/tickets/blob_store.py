"""Stores photos by their digest, in a directory or in an object store of ``fsspec`` (``s3://…`` needs ``s3fs``)."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

from service.platform.errors import BlobMissing, QueueUnavailable
from vqc.durable import sync_directory
from vqc.errors import InvalidValue

_T = TypeVar("_T")
_LOCK = ".lock"


class BlobStore:
    """Content-addressed bytes below a path or URL, at ``<first two characters of the digest>/<digest>``.

    Every method raises ``QueueUnavailable`` when the store does not answer.

    Raises:
        InvalidValue: the file system of the URL is not installed or cannot be opened.
    """

    def __init__(self, url: str) -> None:
        import fsspec  # slow to import, and the routes import this module for its type
        from fsspec.implementations.local import LocalFileSystem

        try:
            self._files, self._root = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError, OSError) as error:
            raise InvalidValue("VQC_BLOBS", url, f"must be a directory or a URL that fsspec opens: {error}") from error
        self._is_local = isinstance(self._files, LocalFileSystem)

    async def put(self, digest: str, data: bytes) -> None:
        """Stores ``data`` under its SHA-256 (hex), completely or not at all. A local file is on disk when this returns."""
        await self._run(lambda: self._put(self._path(digest), data))

    async def get(self, digest: str) -> bytes:
        """The bytes, checked against the digest. Raises ``BlobMissing``."""
        try:
            data: bytes = await self._run(lambda: self._files.cat_file(self._path(digest)))
        except FileNotFoundError as error:
            raise BlobMissing(digest, "is not in the store") from error
        if sha256(data).hexdigest() != digest:
            raise BlobMissing(digest, "is damaged in the store: its bytes have another digest")
        return data

    async def get_derived(self, kind: str, digest: str) -> bytes | None:
        """What was made of a photo, such as its thumbnail; None if it has not been stored, or not completely."""
        try:
            found: bytes = await self._run(lambda: self._files.cat_file(self._derived_path(kind, digest)))
        except FileNotFoundError:
            return None
        return found or None

    async def put_derived(self, kind: str, digest: str, data: bytes) -> None:
        """Stores what was made of the photo with this digest. It can be made again at any time, and ages as photos do."""
        await self._run(lambda: self._put(self._derived_path(kind, digest), data))

    async def remove(self, before: datetime, keep: Collection[str] = ()) -> int:
        """Deletes the blobs that were last put before a time, but for the digests to ``keep``; returns their number."""
        return await self._run(lambda: self._remove(before, keep))

    async def ping(self) -> None:
        """Returns when the store is writable."""
        await self._run(lambda: self._files.makedirs(self._root, exist_ok=True))

    def _put(self, path: str, data: bytes) -> None:
        if not self._is_local:
            return self._files.pipe_file(path, data)  # an object store makes an object visible only when it is complete
        # A file is visible while it is written, so it is written beside its place and renamed.
        place = Path(path)
        _make_folder(place.parent)
        beside = place.with_name(f"{place.name}.{uuid4().hex}")
        try:
            with beside.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            with self._lock(fcntl.LOCK_SH):
                beside.replace(place)
        except BaseException:  # a full disk: what is there of the file would only keep it full
            beside.unlink(missing_ok=True)
            raise
        sync_directory(place.parent)
        return None

    def _remove(self, before: datetime, keep: Collection[str]) -> int:
        removed = 0
        for path in self._files.find(self._root):
            name = path.rpartition("/")[2]
            if name == _LOCK or name in keep or not self._is_old(path, before):
                continue
            if not self._is_local:
                self._files.rm_file(path)
                removed += 1
                continue
            with self._lock(fcntl.LOCK_EX):  # the photo may have been put again since it was looked at
                if self._is_old(path, before):
                    Path(path).unlink()
                    removed += 1
        return removed

    def _is_old(self, path: str, before: datetime) -> bool:
        try:
            modified = self._files.modified(path)
        except FileNotFoundError:  # another process removed it
            return False
        return (modified if modified.tzinfo else modified.replace(tzinfo=UTC)) < before

    @contextmanager
    def _lock(self, kind: int) -> Iterator[None]:
        """Held while a local photo gets its name (shared), and while one is looked at and removed (exclusive)."""
        with Path(self._root, _LOCK).open("ab") as lock:
            fcntl.flock(lock, kind)
            yield

    def _path(self, digest: str) -> str:
        return f"{self._root}/{digest[:2]}/{digest}"

    def _derived_path(self, kind: str, digest: str) -> str:
        return f"{self._root}/{kind}/{digest[:2]}/{digest}"

    async def _run(self, call: Callable[[], _T]) -> _T:
        try:
            return await asyncio.to_thread(call)
        except FileNotFoundError:
            raise
        except Exception as error:  # every file system raises its own errors
            raise QueueUnavailable(f"the photo store: {error}") from error


def _make_folder(folder: Path) -> None:
    """Creates the folder and those above it; their names are on disk when this returns."""
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for one in missing:
        sync_directory(one.parent)
