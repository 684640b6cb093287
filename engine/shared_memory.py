"""What an engine leaves in /dev/shm: vLLM's queues between its processes, which a killed engine cannot delete."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from engine.session import members

_SHM = "/dev/shm/"


def shared_memory_of(session: int) -> frozenset[Path]:
    """The files in /dev/shm that processes of this session have mapped; none without /proc."""
    return frozenset(path for process in members(session) for path in _mapped_files(process))


def _mapped_files(process: Path) -> Iterator[Path]:
    try:
        lines = (process / "maps").read_text(errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        path = line.partition(_SHM)[2]
        if path and not path.endswith("(deleted)"):
            yield Path(_SHM + path)
