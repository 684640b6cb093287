"""``vqc-bench strangers`` as a user runs it, small: an attack and followers, rows as JSON. Nothing asserts on time."""

import json
import subprocess
import sys

from tests.support.stage_b_bench import ROOT
from tests.support.stage_b_commands import environment


def test_others_are_answered_while_strangers_stay_and_followers_reach_the_end():
    command = [sys.executable, "-m", "loadtest", "strangers", "--seconds", "0.5", "--followers", "60", "--json"]
    command += ["--attack", "half heads", "--attack", "followers"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment(), timeout=180)
    assert ran.returncode == 0, ran.stderr
    rows = json.loads(ran.stdout)
    assert [(row["what"], row["connections"]) for row in rows] == [("half heads", 500), ("followers", 60)]
    assert [row["aborted"] for row in rows] == [None, 0]
    assert all(row["requests"] > 0 and row["errors"] == 0 for row in rows)
