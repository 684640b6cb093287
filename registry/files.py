"""Atomic file writes, and locks that the kernel releases when their process ends."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import stat
from collections.abc import Generator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from uuid import uuid4

from registry.errors import Corrupt, RegistryBusy
from registry.streams import translate_no_space, write_all
from vqc.durable import sync_directory


def read_regular(path: Path, max_bytes: int) -> bytes:
    """The bytes of a file, without following a link. Raises ``FileNotFoundError``.

    Raises:
        Corrupt: a link, a special file, or more than ``max_bytes``.
    """
    expected = f"a file of at most {max_bytes:,} bytes"
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise Corrupt(str(path), expected=expected, found="a link or special file") from error
        raise
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise Corrupt(str(path), expected=expected, found="a directory or special file")
        if status.st_size > max_bytes:
            raise Corrupt(str(path), expected=expected, found=f"{status.st_size:,} bytes")
        with os.fdopen(os.dup(descriptor), "rb") as file:
            return file.read(max_bytes)
    finally:
        os.close(descriptor)


@contextmanager
def file_lock(path: Path, *, shared: bool = False, wait: bool = True) -> Generator[None]:
    """Holds a lock file (``flock``). Requires a local file system.

    A reader without write permission proceeds without a lock.

    Raises:
        RegistryBusy: ``wait`` is off and another process holds the lock.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        if shared and error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            yield
            return
        raise
    try:
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError as error:
            raise RegistryBusy(str(path.parent)) from error
        yield
    finally:
        os.close(descriptor)


class PartialFile:
    """A file being written; invisible to readers until ``commit``."""

    def __init__(self, file: FileIO, path: Path) -> None:
        self.file = file
        self._path = path

    def commit(self, target: Path, mode: int = 0o644) -> None:
        """Syncs the bytes to disk, then renames the file to ``target``, replacing any existing file."""
        os.fchmod(self.file.fileno(), mode)
        os.fsync(self.file.fileno())
        self._path.replace(target)


@contextmanager
def partial_file(scratch: Path, needed_bytes: int | None = None) -> Generator[PartialFile]:
    """A new file in ``scratch``, deleted at the end of the block unless committed (to the same file system)."""
    with translate_no_space(scratch.parent, needed_bytes):
        scratch.mkdir(parents=True, exist_ok=True)
        path = scratch / uuid4().hex
        try:
            with FileIO(path, "x") as file:
                yield PartialFile(file, path)
        finally:
            path.unlink(missing_ok=True)


def write_atomically(path: Path, content: bytes, scratch: Path, mode: int = 0o644) -> None:
    """Replaces a small file atomically; it is on disk when this returns."""
    with partial_file(scratch, len(content)) as partial:
        write_all(partial.file, content)
        partial.commit(path, mode)
    sync_directory(path.parent)


def replace_directory(new: Path, target: Path) -> None:
    """Moves the directory ``new`` to ``target`` and removes the old one; processes with open files keep them."""
    old = target.with_name(f".{target.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.rename(old)
    new.rename(target)
    sync_directory(target.parent)
    shutil.rmtree(old, ignore_errors=True)
