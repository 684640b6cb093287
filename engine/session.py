"""The processes of a session, as /proc tells; an engine and all that it starts are one session."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path


def members(session: int) -> Iterator[Path]:
    """The directory in /proc of every living process of a session; none where there is no /proc."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # gone meanwhile
        if fields[3] == str(session) and fields[0] not in "ZX":
            yield stat.parent
