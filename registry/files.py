"""Files that appear whole or not at all, and locks that end with the process that holds them."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from uuid import uuid4

from registry.errors import RegistryBusy
from registry.streams import room_for, write_all


@contextmanager
def locked(path: Path, *, shared: bool = False, wait: bool = True) -> Generator[None]:
    """Holds a lock file; the kernel lets go of it when the process dies. Needs a local file system.

    A reader who may not write there goes without a lock.

    Raises:
        RegistryBusy: ``wait`` is off and somebody holds it.
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


class Incoming:
    """A file being written, which nobody sees before ``commit``."""

    def __init__(self, file: FileIO, path: Path) -> None:
        self.file = file
        self._path = path

    def commit(self, target: Path, mode: int = 0o644) -> None:
        """Puts its bytes on disk and gives it its name, over whatever has it."""
        os.fchmod(self.file.fileno(), mode)
        os.fsync(self.file.fileno())
        self._path.replace(target)


@contextmanager
def incoming(scratch: Path, needed_bytes: int | None = None) -> Generator[Incoming]:
    """A new file in ``scratch``, gone at the end of the block unless it was committed (to the same file system)."""
    with room_for(scratch.parent, needed_bytes):
        scratch.mkdir(parents=True, exist_ok=True)
        path = scratch / uuid4().hex
        try:
            with FileIO(path, "x") as file:
                yield Incoming(file, path)
        finally:
            path.unlink(missing_ok=True)


def write_whole(path: Path, content: bytes, scratch: Path, mode: int = 0o644) -> None:
    """Replaces a small file, on disk when this returns."""
    with incoming(scratch, len(content)) as partial:
        write_all(partial.file, content)
        partial.commit(path, mode)
    sync_directory(path.parent)


def replace_directory(new: Path, target: Path) -> None:
    """Puts the directory ``new`` at ``target`` and removes what was there; whoever has its files open keeps them."""
    old = target.with_name(f".{target.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.rename(old)
    new.rename(target)
    sync_directory(target.parent)
    shutil.rmtree(old, ignore_errors=True)


def sync_directory(path: Path) -> None:
    """Makes the names in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
