"""The log file of a layout: one JSON object per line, append-only."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from registry.audit_log import parse_entry
from registry.errors import Corrupt
from registry.files import read_regular
from registry.oci import canonical
from registry.streams import translate_no_space
from registry.values import AuditEntry

_MAX_LOG = 2**30
"""A million moves take a third of it."""


class AuditFile:
    """Reads and extends the log file. The caller must hold the index lock to extend it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    def size(self) -> int:
        """Its length in bytes; 0 if it does not exist."""
        return self._path.stat().st_size if self._path.exists() else 0

    def is_whole(self, counted: int | None) -> bool:
        """Whether the file has exactly the committed bytes, or, if their number is unknown, ends with a complete line."""
        try:
            size = self._path.stat().st_size
            if counted is not None or size == 0:
                return size == (counted or 0)
            with self._path.open("rb") as file:
                file.seek(-1, os.SEEK_END)
                return file.read() == b"\n"
        except FileNotFoundError:
            return not counted

    def trim(self, counted: int | None) -> int:
        """Drops what was never committed, or the torn last line; returns how many bytes of the log are lost."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        with os.fdopen(descriptor, "r+b") as file:
            size = file.seek(0, os.SEEK_END)
            if counted is not None and size > counted:
                file.truncate(counted)
                return 0
            file.seek(0)
            end = file.read().rfind(b"\n") + 1
            file.truncate(end)
            os.fsync(file.fileno())
            return (size if counted is None else counted) - end

    def read(self, counted: int | None) -> list[AuditEntry]:
        """The entries in the first ``counted`` bytes; None reads every complete line.

        Raises:
            Corrupt: the file is shorter than ``counted``, or a line is not an entry.
        """
        try:
            content = read_regular(self._path, _MAX_LOG)
        except FileNotFoundError:
            content = b""
        if counted is None:
            counted = content.rfind(b"\n") + 1
        if len(content) < counted:
            raise Corrupt(str(self._path), expected=f"{counted} bytes or more", found=f"{len(content)} bytes")
        lines = content[:counted].split(b"\n")[:-1]
        return [parse_entry(line, f"{self._path}:{number}") for number, line in enumerate(lines, 1)]

    def append(self, entries: Iterable[AuditEntry], counted: int | None) -> int:
        """Writes ``entries`` after the first ``counted`` bytes, syncs the file and returns its new length in bytes."""
        lines = b"".join(canonical(asdict(entry)) + b"\n" for entry in entries)
        with translate_no_space(self._path, len(lines)):
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
            with os.fdopen(descriptor, "r+b") as file:
                end = counted if counted is not None else file.read().rfind(b"\n") + 1
                file.truncate(end)  # drops entries of a process that died before it replaced the index
                file.seek(end)
                file.write(lines)
                file.flush()
                os.fsync(file.fileno())
                return end + len(lines)
