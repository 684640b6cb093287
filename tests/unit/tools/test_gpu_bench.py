"""The command that measures on a GPU host: what it refuses, and what it says of results."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[3] / "tools" / "gpu_bench"


def run(*parts: str, out: Path, **more: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"DRY_RUN": "1", "OUT": str(out), **more}
    return subprocess.run(
        [TOOLS / "run.sh", *parts], capture_output=True, text=True, check=False, env=environment, timeout=60
    )


def test_an_unknown_part_is_refused_with_those_that_there_are(tmp_path: Path) -> None:
    result = run("pears", out=tmp_path)
    assert result.returncode == 2
    assert "unknown part pears; valid: pairs stage-b stock free fp8" in result.stderr


def test_parts_for_which_there_is_no_time_are_said(tmp_path: Path) -> None:
    result = run(out=tmp_path, TIME_LIMIT="60")
    assert result.returncode == 0, result.stderr
    assert [line for line in result.stdout.splitlines() if "no time for" in line] == [
        f"== no time for {part}" for part in ("pairs", "stage-b", "stock", "free", "fp8")
    ]


@pytest.mark.parametrize(
    ("report", "said"),
    [
        (
            {"rows": [{"label": "stage-a", "clients": 4, "ours": {"per_s": 2}, "raw": {"per_s": 2.5}, "ratio": 0.8,
                       "token_ratio": None, "overhead_ms": 3.0, "errors": 0}]},
            "stage-a, 4 clients: 2 and 2.5 a second, ratio 0.8, tokens None, p50 +3.0 ms, 0 errors",
        ),
        (
            {"steps": [{"kinds": [{"label": "caption", "per_s": 2, "tokens_per_s": 9, "p50_ms": 5, "errors": 1}]}]},
            "caption: 2 a second, 9 tokens, p50 5 ms, 1 errors",
        ),
        (None, "no result"),
    ],
)  # fmt: skip
def test_a_result_is_told_in_a_line(report: object, said: str, tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    path.write_text("" if report is None else json.dumps(report), "utf-8")
    told = subprocess.run([sys.executable, TOOLS / "told.py", path], capture_output=True, text=True, check=True).stdout
    assert told.strip() == said
