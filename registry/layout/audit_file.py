"""The log file of a layout: one JSON object per line, append-only."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from registry.errors import Corrupt
from registry.oci import canonical
from registry.streams import translate_no_space
from registry.values import AuditEntry


class AuditFile:
    """Reads and extends the log file. The caller must hold the index lock to extend it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self, counted: int | None) -> list[AuditEntry]:
        """The entries in the first ``counted`` bytes; None reads every complete line.

        Raises:
            Corrupt: the file is shorter than ``counted``, or a line is not an entry.
        """
        content = self._path.read_bytes() if self._path.exists() else b""
        if counted is None:
            counted = content.rfind(b"\n") + 1
        if len(content) < counted:
            raise Corrupt(str(self._path), expected=f"{counted} bytes or more", found=f"{len(content)} bytes")
        try:
            return [AuditEntry(**json.loads(line)) for line in content[:counted].splitlines()]
        except (ValueError, TypeError) as error:
            raise Corrupt(str(self._path), expected="one log entry a line", found=str(error)) from error

    def append(self, entries: Iterable[AuditEntry], counted: int | None) -> int:
        """Writes ``entries`` after the first ``counted`` bytes, syncs the file and returns its new length in bytes."""
        lines = b"".join(canonical(asdict(entry)) + b"\n" for entry in entries)
        with translate_no_space(self._path, len(lines)):
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            with os.fdopen(descriptor, "r+b") as file:
                end = counted if counted is not None else file.read().rfind(b"\n") + 1
                file.truncate(end)  # drops entries of a process that died before it replaced the index
                file.seek(end)
                file.write(lines)
                file.flush()
                os.fsync(file.fileno())
                return end + len(lines)
