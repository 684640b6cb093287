"""``vqc-bench fuzz`` as a user runs it, for two seconds on the scripted engine."""

import json
import subprocess
import sys

from tests.support.stage_b_bench import ROOT
from tests.support.stage_b_commands import environment


def test_damaged_photos_and_generated_requests_find_no_server_error():
    command = [sys.executable, "-m", "loadtest", "fuzz", "--seconds", "2", "--json"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment(), timeout=180)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    [report] = json.loads(ran.stdout)
    assert report["photos"].keys() >= {"200", "422"}
    assert (report["restarts"], report["findings"]) == (0, None)
