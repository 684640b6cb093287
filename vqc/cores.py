"""The number of CPU cores available to this process."""

from __future__ import annotations

import os


def usable_cores() -> int:
    """The cores that this process may run on (``taskset``, a container's cpuset); all if unknown."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
