"""CPU time and memory of a process and its children, from /proc (Linux)."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from loadtest.errors import BenchFailed

_PEAK = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)
_CURRENT = re.compile(r"^VmRSS:\s+(\d+) kB$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessUsage:
    """CPU seconds of a process tree (user and system), and resident memory of its root in MiB: the peak and the current one."""

    cpu_s: float
    peak_rss_mb: float
    rss_mb: float


def tree_usage(pid: int, proc: Path = Path("/proc")) -> ProcessUsage:
    """The usage of the tree under ``pid`` since its start, ended children included.

    Raises:
        BenchFailed: no such process, or no /proc.
    """
    if not (proc / "self").exists():
        raise BenchFailed("CPU and memory are read from /proc, which only Linux has")
    stats = stats_in(proc)
    if pid not in stats:
        raise BenchFailed(f"no process {pid} to measure")
    ticks = sum(stats[member][1] for member in tree_in(stats, pid))
    peak_rss_mb, rss_mb = _memory_mb(proc / str(pid) / "status")
    return ProcessUsage(cpu_s=ticks / os.sysconf("SC_CLK_TCK"), peak_rss_mb=peak_rss_mb, rss_mb=rss_mb)


def parse_stat(text: str) -> tuple[int, int]:
    """Parent and CPU ticks (own and of reaped children) in a line of /proc/PID/stat; see proc(5).

    >>> parse_stat("7 (a (b) c) S 1 7 7 0 -1 0 0 0 0 0 30 12 5 3 20 0 1")
    (1, 50)
    """
    fields = text[text.rindex(")") + 2 :].split()
    return int(fields[1]), sum(map(int, fields[11:15]))


def stats_in(proc: Path) -> dict[int, tuple[int, int]]:
    """Parent and CPU ticks of each process in /proc, or of each thread in /proc/PID/task, by its number."""
    stats = {}
    for entry in proc.iterdir():
        if entry.name.isdigit():
            try:
                stats[int(entry.name)] = parse_stat((entry / "stat").read_text("utf-8", "replace"))
            except OSError:
                continue  # it ended meanwhile
    return stats


def tree_in(stats: Mapping[int, tuple[int, int]], pid: int) -> set[int]:
    """``pid`` and its descendants; ``stats`` as ``stats_in`` returns them."""
    members = {pid}
    while found := {child for child, (parent, _) in stats.items() if parent in members} - members:
        members |= found
    return members


def _memory_mb(path: Path) -> tuple[float, float]:
    try:
        text = path.read_text("utf-8", "replace")
    except OSError as error:
        raise BenchFailed(f"the measured process has ended: {error}") from error
    peak, current = (
        round(int(found[1]) / 1024, 1) if (found := size.search(text)) else 0.0 for size in (_PEAK, _CURRENT)
    )
    return peak, current
