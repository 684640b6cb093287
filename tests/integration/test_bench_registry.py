"""``vqc-bench registry`` on a small model. Nothing here asserts on time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from loadtest.errors import BenchFailed
from loadtest.suites.registry import measure, time_command


def test_a_short_run_has_a_row_for_each_step_and_cleans_up(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "loadtest", "registry", "--gib", "0.01", "--rounds", "1", "--work", str(tmp_path)]
    ran = subprocess.run([*words, "--json"], capture_output=True, text=True, check=False, timeout=120)
    assert ran.returncode == 0, ran.stderr
    rows = json.loads(ran.stdout)
    assert [row["step"] for row in rows] == ["push", "push again", "pull"]
    for row in rows:
        assert min(row["cp_s"], row["checksum_s"], row["ours_s"], row["ratio"]) > 0
        assert 10 < row["ours_peak_rss_mb"] < 300
    assert list(tmp_path.iterdir()) == []


def test_too_little_room_is_an_error_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(BenchFailed, match="GiB free and this needs"):
        next(measure(tmp_path, gib=1e6, rounds=1, checksum="sha256sum", cold=False, progress=print))
    assert list(tmp_path.iterdir()) == []


def test_a_command_that_fails_is_reported_with_its_output() -> None:
    with pytest.raises(BenchFailed, match="No such file"):
        time_command(["cp", "/nowhere/a", "/nowhere/b"])
    with pytest.raises(BenchFailed, match="cannot be started"):
        time_command(["no-such-command"])
