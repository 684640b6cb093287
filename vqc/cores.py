"""How many cores this process may use."""

from __future__ import annotations

import os


def usable_cores() -> int:
    """The cores that this process is let run on (``taskset``, a container's cpuset); all where the system does not say."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
