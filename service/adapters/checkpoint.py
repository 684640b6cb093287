"""What a checkpoint directory is, named by its bytes."""

from __future__ import annotations

from hashlib import file_digest
from pathlib import Path

from vqc.contract import digest


def checkpoint_digest(directory: Path) -> str:
    """SHA-256 (hex) over the names and digests of the directory's files; reads every byte once, about 1 GB/s a core."""
    names = {}
    for path in sorted(directory.iterdir()):
        if path.is_file():
            with path.open("rb") as content:
                names[path.name] = file_digest(content, "sha256").hexdigest()
    return digest(names)
