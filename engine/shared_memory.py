"""What an engine leaves in /dev/shm: vLLM's queues between its processes, which a killed engine cannot remove itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

_SHM = "/dev/shm/"


def shared_memory_of(session: int) -> frozenset[Path]:
    """The files in /dev/shm that processes of this session have mapped; none where /proc does not tell."""
    return frozenset(path for pid in living(session) for path in _mapped(pid))


def living(session: int) -> Iterator[Path]:
    """The /proc directories of a session's processes, without those that are dead and wait to be reaped."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # gone meanwhile
        if fields[3] == str(session) and fields[0] != "Z":
            yield stat.parent


def _mapped(process: Path) -> Iterator[Path]:
    try:
        lines = (process / "maps").read_text(errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        path = line.partition(_SHM)[2]
        if path and not path.endswith("(deleted)"):
            yield Path(_SHM + path)
