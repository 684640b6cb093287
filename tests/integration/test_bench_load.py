"""``vqc-bench mixed`` against our own service with Redis and a worker, on the scripted engine. Nothing asserts on time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SCENARIO = """
rates_per_s: [20]
seconds: 2
arrivals: even
photos: {width: 256, height: 192, drawn: 4}
mix:
  - {task: caption, body: multipart, slo: {quantile: 0.9, ms: 60000}}
  - {task: caption, body: json}
  - {task: caption, body: sse}
  - {task: stage-a, photos: 2}
  - {task: stage-b, photos: 2}
  - {task: stage-b, photos: 1, lines: given, evidence: both}
"""


def test_every_kind_of_request_is_answered_and_read(tmp_path: Path) -> None:
    scenario, plot = tmp_path / "all.yaml", tmp_path / "all.svg"
    scenario.write_text(SCENARIO, "utf-8")
    command = [
        sys.executable,
        "-m",
        "loadtest",
        "mixed",
        str(scenario),
        "--processes",
        "2",
        "--plot",
        str(plot),
        "--json",
    ]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=180)

    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    (step,) = report["steps"]
    assert report["problems"] == []
    assert sum(kind["requests"] for kind in step["kinds"]) == 40
    assert {kind["label"] for kind in step["kinds"]} == {
        "caption multipart", "caption json", "caption sse", "stage-a ×2", "stage-b ×2", "stage-b ×1",
    }  # fmt: skip
    for kind in step["kinds"]:
        assert kind["errors"] == 0
        assert 0 < kind["p50_ms"] <= kind["p99_ms"]
    streamed = next(kind for kind in step["kinds"] if kind["label"] == "caption sse")
    assert 0 < streamed["first_p50_ms"] <= streamed["p99_ms"]
    assert (step["met"], step["cpu_ms"] > 0, step["rss_mb"] > 10) == (True, True, True)
    assert plot.read_text("utf-8").startswith("<svg")
