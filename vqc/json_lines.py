"""JSON lines: the one reader and the one writer. A record ends at the byte ``\\n`` and nowhere else."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_BOM = b"\xef\xbb\xbf"


def records_in(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The records of a file by their line numbers, without blank lines. A byte order mark at the start is dropped.

    >>> list(records_in("\\ufeff1\\r\\n\\n\\"a\\u2028b\\"".encode()))[1]
    (3, b'"a\\xe2\\x80\\xa8b"')
    """
    for number, line in enumerate(data.removeprefix(_BOM).split(b"\n"), start=1):
        if line.strip():
            yield number, line.removesuffix(b"\r")


def read_records(path: Path) -> tuple[list[Any], bytes]:
    """The values of a file's records, and a torn last line, which is none; both empty if there is no file.

    Raises:
        ValueError: another line is not JSON.
    """
    data = path.read_bytes() if path.exists() else b""
    torn = _torn_tail(data)
    return [json.loads(line) for _, line in records_in(data[: len(data) - len(torn)])], torn


@contextmanager
def appended_record(path: Path, record: object) -> Iterator[None]:
    """Appends a record, which is on disk inside the block; an error there, or in writing, takes it away again.

    A torn last line is removed. The caller holds a lock against other writers. Raises ``OSError``.
    """
    line = json.dumps(record, ensure_ascii=False).encode() + b"\n"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    with os.fdopen(descriptor, "r+b", buffering=0) as file:
        data = file.read()
        end = len(data) - len(_torn_tail(data))
        if end and data[end - 1 : end] != b"\n":
            line = b"\n" + line  # a person's editor has left out the last line's end
        try:
            file.truncate(end)
            file.seek(end)
            rest = memoryview(line)
            while rest:
                rest = rest[file.write(rest) :]
            os.fsync(file.fileno())
            yield
        except BaseException:
            file.truncate(end)
            raise


def _torn_tail(data: bytes) -> bytes:
    """The part of a line behind the last ``\\n`` that a process left when it died; empty if it is a whole record."""
    tail = data[data.rfind(b"\n") + 1 :]
    try:
        json.loads(tail.removeprefix(_BOM))
    except ValueError:
        return tail
    return b""
