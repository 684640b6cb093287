"""The processes of a session, from /proc; an engine and its children form one session."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path


def members(session: int) -> Iterator[Path]:
    """The /proc directories of the living processes of a session; none without /proc."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended since the directory was listed
        if fields[3] == str(session) and fields[0] not in "ZX":
            yield stat.parent
