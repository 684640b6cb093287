"""The audit log: who saw, decided or changed what. One file of JSON lines per month, which is only ever appended to.

Each line has the SHA-256 of the line before it (``prev``), so a line that was changed or removed later is found by ``check``.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

_TAIL = 1 << 16


class Action(StrEnum):
    """What can be recorded."""

    TICKET_VIEWED = "ticket_viewed"
    PHOTO_VIEWED = "photo_viewed"
    TICKETS_LISTED = "tickets_listed"
    """A page of tickets was read over the API, as an export does."""
    TICKET_DECIDED = "ticket_decided"
    DECISION_WITHDRAWN = "decision_withdrawn"
    TICKET_CANCELLED = "ticket_cancelled"
    TICKET_RETRIED = "ticket_retried"
    GUIDANCE_CHANGED = "guidance_changed"
    GUIDANCE_ROLLED_BACK = "guidance_rolled_back"
    PROPOSAL_APPROVED = "proposal_approved"
    PROPOSAL_REJECTED = "proposal_rejected"
    MODEL_PROMOTED = "model_promoted"
    MODEL_ROLLED_BACK = "model_rolled_back"
    MODEL_RELOADED = "model_reloaded"
    KEY_CREATED = "key_created"
    KEY_REVOKED = "key_revoked"
    KEY_ROTATED = "key_rotated"
    KEYS_CHANGED = "keys_changed"
    """A process read a key file that has other keys than before."""
    SETTINGS_CHANGED = "settings_changed"
    """A process started with other settings than the one before it."""
    SIGNED_IN = "signed_in"
    SIGN_IN_REJECTED = "sign_in_rejected"
    SIGNED_OUT = "signed_out"
    WEBHOOK_SENT_AGAIN = "webhook_sent_again"


class AuditLog:
    """The log in ``folder``. Any number of processes may append to it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def append(self, at: datetime, action: Action, fields: Mapping[str, object]) -> None:
        """Returns when the entry is on disk. Raises ``OSError``."""
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{at:%Y-%m}.jsonl"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o640)
        with open(descriptor, "r+b", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # the next line must have the digest of this one
            last, torn = _last_line(file)
            entry = {"at": at.isoformat(), "action": action, **fields, "prev": _digest(last)}
            line = json.dumps({key: value for key, value in entry.items() if value is not None}, ensure_ascii=False)
            # A process that died in its write has left a part of a line. It stays, as a line of its own.
            _write(file, b"\n" * torn + line.encode() + b"\n")
            os.fsync(file.fileno())

    def entries(self, since: datetime | None = None) -> Iterator[Mapping[str, object]]:
        """Every entry, oldest first; lines that are no entries are left out (``check`` reports them)."""
        for path in self._files():
            if since is not None and path.stem < f"{since:%Y-%m}":
                continue
            with path.open("rb") as file:
                for line in file:
                    if (entry := _parse(line)) is not None:
                        yield entry

    def check(self) -> list[str]:
        """Where lines were damaged, changed or removed; empty if the log is complete."""
        problems = []
        for path in self._files():
            before = b""
            with path.open("rb") as file:
                for number, line in enumerate(file, start=1):
                    entry = _parse(line)
                    if entry is None:
                        problems.append(f"{path}:{number}: is not a complete entry")
                    elif entry.get("prev") != _digest(before):
                        problems.append(f"{path}:{number}: the line before it was changed or removed")
                    before = line.removesuffix(b"\n")
        return problems

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob("????-??.jsonl"))


def _digest(line: bytes) -> str:
    """The digest of a line without its end; empty for the start of a file."""
    return sha256(line).hexdigest() if line else ""


def _parse(line: bytes) -> Mapping[str, object] | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if line.endswith(b"\n") and isinstance(entry, dict) and "at" in entry and "action" in entry else None


def _last_line(file: BinaryIO) -> tuple[bytes, bool]:
    """The last line without its end, and whether it has none: its process died while it wrote."""
    end = file.seek(0, os.SEEK_END)
    size = _TAIL
    while True:
        file.seek(max(0, end - size))
        tail = file.read(size)
        torn = bool(tail) and not tail.endswith(b"\n")
        body = tail if torn else tail[:-1]
        if b"\n" in body or size >= end:
            return body.rpartition(b"\n")[2], torn
        size *= 2


def _write(file: BinaryIO, data: bytes) -> None:
    while data:
        data = data[file.write(data) :]
