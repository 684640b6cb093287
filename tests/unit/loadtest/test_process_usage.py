"""CPU time and memory of a process tree, from /proc."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from loadtest.errors import BenchFailed
from loadtest.process_usage import tree_usage

TICKS = os.sysconf("SC_CLK_TCK")


def proc_entry(proc: Path, pid: int, parent: int, ticks: tuple[int, int, int, int], peak_kb: int = 2048) -> None:
    (proc / str(pid)).mkdir(parents=True)
    times = " ".join(map(str, ticks))
    (proc / str(pid) / "stat").write_text(f"{pid} (a) b) S {parent} 1 1 0 -1 0 0 0 0 0 {times} 20 0 1 0 5")
    (proc / str(pid) / "status").write_text(f"Name:\ta\nVmPeak:\t 9 kB\nVmHWM:\t {peak_kb} kB\nVmRSS:\t 7 kB\n")


def test_usage_is_of_the_whole_tree_and_no_other_process(tmp_path: Path) -> None:
    (tmp_path / "self").mkdir()
    proc_entry(tmp_path, 10, 1, (1, 2, 3, 4), peak_kb=3072)
    proc_entry(tmp_path, 11, 10, (10, 0, 0, 0))
    proc_entry(tmp_path, 12, 11, (0, 20, 0, 0))
    proc_entry(tmp_path, 99, 1, (5000, 5000, 0, 0))

    usage = tree_usage(10, tmp_path)

    assert usage.cpu_s == pytest.approx(40 / TICKS)
    assert usage.peak_rss_mb == 3.0


def test_this_very_process_can_be_measured() -> None:
    usage = tree_usage(os.getpid())
    assert usage.cpu_s > 0
    assert usage.peak_rss_mb > 5


def test_a_missing_process_or_proc_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BenchFailed, match="only Linux has"):
        tree_usage(1, tmp_path)
    (tmp_path / "self").mkdir()
    with pytest.raises(BenchFailed, match="no process 7"):
        tree_usage(7, tmp_path)
