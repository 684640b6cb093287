"""The command that measures on a GPU host: what it refuses, and what it says of results."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tools.gpu_bench.results import Results, conclusions, facts, row_words

TOOLS = Path(__file__).parents[3] / "tools" / "gpu_bench"


def run(*parts: str, out: Path, **more: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"DRY_RUN": "1", "OUT": str(out), **more}
    return subprocess.run(
        [TOOLS / "run.sh", *parts], capture_output=True, text=True, check=False, env=environment, timeout=60
    )


def test_an_unknown_part_is_refused_with_those_that_there_are(tmp_path: Path) -> None:
    result = run("pears", out=tmp_path)
    assert result.returncode == 2
    assert "unknown part pears; valid: warm pairs stage-b tickets free stock transformers fp8 quality" in result.stderr


def test_parts_for_which_there_is_no_time_are_said_with_the_engine_that_they_share(tmp_path: Path) -> None:
    result = run(out=tmp_path, TIME_LIMIT="20")
    assert result.returncode == 0, result.stdout
    said = [line.partition("no time for ")[2] for line in result.stdout.splitlines() if "no time for" in line]
    assert said == ["pairs stage-b tickets free", "stock", "transformers", "fp8", "quality"]
    assert "no time for stock" in (tmp_path / "log.txt").read_text("utf-8")


def row(label: str, ours: float | None, raw: float, **more: Any) -> dict[str, Any]:
    side = {"tokens_per_s": 8.0, "p50_ms": 2.0, "p99_ms": 3.0}
    return {
        "label": label, "clients": 4, "ours": None if ours is None else side | {"per_s": ours}, "raw": side | {"per_s": raw},
        "ratio": ours and ours / raw, "token_ratio": 1.0, "overhead_ms": 1.5, "answers": 9, "errors": 0, "malformed": 1,
    } | more  # fmt: skip


def test_a_level_is_told_in_a_line() -> None:
    assert row_words(row("stage-a", 2.0, 2.5)) == (
        "stage-a, 4 clients: 2.0 and 2.5/s = 0.8, tokens 1.0, p50 2.0 and 2.0 ms (+1.5); 9 answers, 0 errors, 1 unreadable"
    )


def test_ratios_between_parts_are_of_what_several_calls_have_measured(tmp_path: Path) -> None:
    kept = tmp_path / "kept.json"
    first = Results(tmp_path / "1.json", kept, 0.0)
    first.keep("parts", "pairs", {"rows": [row("caption", 30.0, 31.0), row("stage-a ×1", 40.0, 41.0)]})
    second = Results(tmp_path / "2.json", kept, 0.0)
    second.keep("parts", "stock", {"rows": [row("caption", None, 20.0), row("stage-a ×1", None, 25.0)]})
    second.keep("parts", "transformers", {"photos_per_s": 1.6})
    assert json.loads((tmp_path / "2.json").read_text("utf-8")) == json.loads(kept.read_text("utf-8"))
    assert conclusions(second, 4) == {
        "caption, 4 clients: ours ÷ vLLM as it comes": 1.5,
        "caption, 4 clients: ours ÷ vLLM as it comes, by tokens": 1.0,
        "stage-a, 4 clients: ours ÷ vLLM as it comes": 1.6,
        "stage-a, 4 clients: ours ÷ vLLM as it comes, by tokens": 1.0,
        "stage-a, 4 clients: ours ÷ transformers batch 8": 25.0,
        "captions under the grammar": 9,
        "of them unreadable": 1,
    }


@pytest.mark.parametrize("line", ["INFO Available KV cache memory: 61 GiB", "Model loading took 8.9 GiB memory"])
def test_what_an_engine_says_of_itself_is_kept_once(line: str) -> None:
    assert facts(f"noise\n{line}\n{line}\nnoise") == [line]
