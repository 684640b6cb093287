"""Makes what was written survive a power cut."""

from __future__ import annotations

import os
from pathlib import Path


def sync_path(path: Path, flags: int = 0) -> None:
    """Returns when a file's content, or the names in a directory, are on disk. Raises ``OSError``."""
    descriptor = os.open(path, os.O_RDONLY | flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_directory(path: Path) -> None:
    """Makes renames inside a directory durable. Raises ``OSError``, also for a path that is no directory."""
    sync_path(path, os.O_DIRECTORY)
