"""``vqc-bench growth`` on the scripted engine. Nothing asserts on time."""

from __future__ import annotations

import json
import subprocess
import sys


def test_every_growth_is_measured() -> None:
    command = [sys.executable, "-m", "loadtest", "growth", "--size", "80", "--times", "2", "--seconds", "0.5", "--json"]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=180)

    assert result.returncode == 0, result.stderr
    rows = json.loads(result.stdout)
    assert [(row["what"], row["little"], row["much"]) for row in rows] == [
        ("clients", 8, 16),
        ("tickets stored", 80, 160),
        ("tickets queued", 80, 160),
    ]
    assert all(row["growth"] > 0 for row in rows)
