"""``vqc-bench chaos``: a short run in which processes die and Redis fails ends every ticket once. Nothing asserts on time."""

from __future__ import annotations

import json
import subprocess
import sys


def test_every_ticket_ends_once() -> None:
    command = [sys.executable, "-m", "loadtest", "chaos", "--tickets", "30", "--seconds", "4", "--pause", "0.5"]
    result = subprocess.run(
        [*command, "--seed", "3", "--json"], capture_output=True, text=True, check=False, timeout=400
    )

    assert result.returncode == 0, result.stderr
    (row,) = json.loads(result.stdout)
    assert (row["tickets"], row["accepted"], row["decided"] + row["to_review"] + row["failed"]) == (30, 30, 30)
    assert row["faults"] == sum(row["by_fault"].values()) > 0
    assert [row[name] for name in ("unfinished", "ended_twice", "doubled", "contradicted", "unsent")] == [0] * 5
