"""``vqc-bench console`` as a user runs it, small: real processes, every page found, rows as JSON."""

import json
import subprocess
import sys

from tests.support.stage_b_bench import ROOT
from tests.support.stage_b_commands import environment


def test_the_pages_of_a_small_queue_are_measured():
    command = [sys.executable, "-m", "loadtest", "console", "--tickets", "10,30", "--requests", "2", "--json"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment())
    assert ran.returncode == 0, ran.stderr
    rows = json.loads(ran.stdout)
    assert [row["waiting"] for row in rows] == [10] * 7 + [30] * 7
    assert {row["page"] for row in rows} >= {"queue, first page", "queue, last page", "ticket", "live"}
    assert all(0 < row["p50_ms"] <= row["p99_ms"] for row in rows)
