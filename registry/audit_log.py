"""Builds audit entries, and derives rollback targets and trusted aliases from them."""

from __future__ import annotations

import getpass
import socket
from datetime import datetime, timedelta

from pydantic import TypeAdapter, ValidationError

from registry.errors import Corrupt
from registry.values import AuditEntry, utc_now

_ENTRY = TypeAdapter(AuditEntry)


def new_entry(
    action: str,
    *,
    alias: str | None = None,
    before: str | None = None,
    after: str | None = None,
    actor: str | None,
    reason: str,
) -> AuditEntry:
    """An entry with the current time, by ``actor`` or the current user."""
    return AuditEntry(
        at=utc_now(),
        action=action,
        alias=alias,
        before=before,
        after=after,
        actor=actor or _default_actor(),
        reason=reason,
    )


def parse_entry(content: bytes, name: str) -> AuditEntry:
    """The entry in ``content``, which is stored as JSON. Raises Corrupt, naming ``name``."""
    try:
        return _ENTRY.validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise Corrupt(name, expected="a log entry", found=f"{place} {first['msg']}".strip()) from error


def later_than(last: AuditEntry | None) -> str:
    """The current time, or the instant after ``last`` where this clock is behind its writer's: logs are sorted by time."""
    now = utc_now()
    if last is None or last.at < now:
        return now
    try:
        return (datetime.fromisoformat(last.at) + timedelta(microseconds=1)).isoformat(timespec="microseconds")
    except (ValueError, OverflowError):
        return now


def last_moves(log: list[AuditEntry]) -> dict[str, AuditEntry]:
    """The last logged move of each alias."""
    return {entry.alias: entry for entry in log if entry.alias is not None and entry.action == "move"}


def rollback_targets(log: list[AuditEntry]) -> set[str]:
    """The version that each existing alias pointed to before its last move."""
    return {entry.before for entry in last_moves(log).values() if entry.after is not None and entry.before is not None}


def check_log(log: list[AuditEntry], alias: str, digest: str, *, ordered: bool) -> None:
    """Raises Corrupt when ``alias`` points at ``digest`` and the log disagrees.

    In an unordered log any logged target of the alias is accepted. An alias that was never logged belongs to another tool.
    """
    moves = [entry.after for entry in log if entry.alias == alias and entry.action == "move"]
    trusted = moves[-1:] if ordered else moves
    if moves and digest not in trusted:
        raise Corrupt(f"alias {alias!r}", expected=f"{moves[-1]} (its last logged move)", found=digest)


def _default_actor() -> str:
    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"
    except (KeyError, OSError):
        return f"unknown@{socket.gethostname()}"
