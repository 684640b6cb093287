"""Copies and hashes files in one pass, a block at a time, several files in parallel."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from hashlib import sha256
from io import FileIO
from pathlib import Path
from threading import Event, local
from typing import BinaryIO, TypeVar

from registry.errors import Corrupt, StorageFull
from registry.oci import MAX_ATTACHMENT, Descriptor
from registry.store import OnBytes
from registry.values import Progress

BLOCK = 2**18
"""Bytes per block. Larger writes are slower: blocks of 4 MB took eight times as long (ext4, Linux 6.18)."""
WORKERS = 4
_T = TypeVar("_T")
_R = TypeVar("_R")
_worker = local()


class _Cancelled(Exception):
    """Another file failed or the user interrupted, so this one is abandoned."""


def ignore_progress(done: int) -> None:
    """An ``OnBytes`` that does nothing."""


def file_progress(progress: Progress | None, name: str, total: int) -> OnBytes:
    """An ``OnBytes`` that reports one file to ``progress``."""
    return ignore_progress if progress is None else lambda done: progress(name, done, total)


def blocks(file: FileIO) -> Generator[memoryview]:
    """The rest of a file, in one reused buffer: a block is valid until the next one is read."""
    buffer = memoryview(bytearray(BLOCK))
    while count := file.readinto(buffer):
        yield buffer[:count]


def copy_and_hash(
    source: Iterable[memoryview | bytes], target: BinaryIO | FileIO | None, on_bytes: OnBytes
) -> tuple[str, int]:
    """Digest (``sha256:…``) and length of ``source``, which is also written to ``target`` if given."""
    digest = sha256()
    done = 0
    # The threads of ``map_in_threads`` stop between two blocks: a failed push of many gigabytes ends at once.
    stop: Event | None = getattr(_worker, "stop", None)
    for block in source:
        if stop is not None and stop.is_set():
            raise _Cancelled
        digest.update(block)
        if target is not None:
            write_all(target, block)
        done += len(block)
        on_bytes(done)
    return f"sha256:{digest.hexdigest()}", done


def write_all(target: BinaryIO | FileIO, block: memoryview | bytes) -> None:
    """Writes all of ``block``; one write to an unbuffered file may be partial."""
    rest = memoryview(block)
    while rest:
        rest = rest[target.write(rest) or 0 :]


def file_digest(path: Path, on_bytes: OnBytes = ignore_progress) -> str:
    """The ``sha256:…`` of a file."""
    with FileIO(path) as file:
        return copy_and_hash(blocks(file), None, on_bytes)[0]


def same_bytes(first: Path, second: Path) -> bool:
    """Whether two files are identical; False if the second does not exist. Several times faster than hashing."""
    try:
        with FileIO(first) as one, FileIO(second) as other:
            if os.fstat(one.fileno()).st_size != os.fstat(other.fileno()).st_size:
                return False
            while (block := one.read(BLOCK)) == other.read(BLOCK):
                if not block:
                    return True
            return False
    except FileNotFoundError:
        return False


def is_regular(path: Path) -> bool:
    """Whether a path is a file, and no link."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except FileNotFoundError:
        return False


def check_size(blob: Descriptor) -> None:
    """Raises Corrupt for a blob that is too large to be read into memory."""
    if blob.size > MAX_ATTACHMENT:
        raise Corrupt(blob.title, expected=f"at most {MAX_ATTACHMENT:,} bytes", found=f"{blob.size:,} bytes")


def check_file(path: Path, expected: str, size: int, name: str, on_bytes: OnBytes = ignore_progress) -> None:
    """Raises Corrupt, naming ``name``, unless the file exists with exactly these bytes."""
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode):
            raise Corrupt(name, expected=expected, found="a link or special file")
        found = status.st_size
        if found != size:
            raise Corrupt(name, expected=f"{expected} ({size:,} bytes)", found=f"{found:,} bytes")
        digest = file_digest(path, on_bytes)
    except FileNotFoundError as error:
        raise Corrupt(name, expected=expected, found="no file") from error
    if digest != expected:
        raise Corrupt(name, expected=expected, found=digest)


@contextmanager
def translate_no_space(path: Path, needed_bytes: int | None = None) -> Generator[None]:
    """Raises ``StorageFull`` when the block fails because the file system or quota is full."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageFull(str(path), needed_bytes) from error
        raise


def map_in_threads(function: Callable[[_T], _R], items: Sequence[_T], workers: int = WORKERS) -> list[_R]:
    """Applies ``function`` in several threads; results in order. The first failure stops the others and is raised."""
    stop = Event()

    def run(item: _T) -> _R:
        _worker.stop = stop
        return function(item)

    pool = ThreadPoolExecutor(max(1, min(workers, len(items))), thread_name_prefix="registry")
    try:
        futures = [pool.submit(run, item) for item in items]
        finished, _ = wait(futures, return_when=FIRST_EXCEPTION)
        for future in finished:
            future.result()
        return [future.result() for future in futures]
    finally:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)
