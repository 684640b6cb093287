"""What the log's entries say, and what follows from them."""

from __future__ import annotations

import getpass
import socket

from registry.errors import Corrupt
from registry.values import AuditEntry, now


def new_entry(
    action: str,
    *,
    alias: str | None = None,
    before: str | None = None,
    after: str | None = None,
    actor: str | None,
    reason: str,
) -> AuditEntry:
    """An entry of now, by ``actor`` or whoever runs this."""
    return AuditEntry(
        at=now(), action=action, alias=alias, before=before, after=after, actor=actor or _somebody(), reason=reason
    )


def rollback_targets(log: list[AuditEntry]) -> set[str]:
    """Where each alias was before it went where it is; a removed one needs no way back."""
    moves = {entry.alias: entry for entry in log if entry.alias is not None and entry.action == "move"}
    return {entry.before for entry in moves.values() if entry.after is not None and entry.before is not None}


def check_log(log: list[AuditEntry], alias: str, digest: str, *, ordered: bool) -> None:
    """Raises Corrupt when ``alias`` is at ``digest`` and the log says otherwise.

    In a log without order any logged place of the alias will do. An alias that was never logged is another tool's.
    """
    moves = [entry.after for entry in log if entry.alias == alias and entry.action == "move"]
    trusted = moves[-1:] if ordered else moves
    if moves and digest not in trusted:
        raise Corrupt(f"alias {alias!r}", expected=f"{moves[-1]} (its last logged move)", found=digest)


def _somebody() -> str:
    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"
    except (KeyError, OSError):
        return f"unknown@{socket.gethostname()}"
