"""The command that measures on a GPU host: its usage errors, its results, and its parts on a stub engine."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest

from engine.profile import EngineSettings
from loadtest.http.requests import Target
from loadtest.load.scenario import Photos
from loadtest.targets.server import RunningServer
from loadtest.targets.stub_engine import running_stub_engine
from tools.gpu_bench.bench import GpuBench
from tools.gpu_bench.engines import VARIANTS
from tools.gpu_bench.results import Results, conclusions, describe_row, engine_facts
from tools.gpu_bench.scale import DRY_RUN
from tools.gpu_bench.stacks import tables

TOOLS = Path(__file__).parents[3] / "tools" / "gpu_bench"


def run(*parts: str, out: Path, **more: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"DRY_RUN": "1", "OUT": str(out), **more}
    return subprocess.run(
        [TOOLS / "run.sh", *parts], capture_output=True, text=True, check=False, env=environment, timeout=60
    )


def test_an_unknown_part_is_refused_with_those_that_there_are(tmp_path: Path) -> None:
    result = run("pears", out=tmp_path)
    assert result.returncode == 2
    assert (
        "unknown part pears; valid: warm pairs raw profile more-pairs stage-b tickets free stock fp8 encoder-graphs"
        in result.stderr
    )


def test_parts_for_which_there_is_no_time_are_listed_with_the_engine_that_they_share(tmp_path: Path) -> None:
    result = run(out=tmp_path, TIME_LIMIT="20")
    assert result.returncode == 0, result.stdout
    lines = [line.partition("no time for ")[2] for line in result.stdout.splitlines() if "no time for" in line]
    assert lines == [
        "pairs raw profile more-pairs stage-b tickets free",
        *["stock", "fp8", "encoder-graphs", "shared-tensors", "recited", "drafts drafts-pairs drafts-stage-b"],
        *["drafts-graphs", "recited-stock", "twins", "transformers", "quality", "same"],
    ]
    assert "no time for stock" in (tmp_path / "log.txt").read_text("utf-8")


def row(label: str, ours: float | None, raw: float, **more: Any) -> dict[str, Any]:
    side = {"tokens_per_s": 8.0, "p50_ms": 2.0, "p99_ms": 3.0}
    return {
        "label": label, "clients": 4, "ours": None if ours is None else side | {"per_s": ours}, "raw": side | {"per_s": raw},
        "ratio": ours and ours / raw, "token_ratio": 1.0, "overhead_ms": 1.5, "answers": 9, "errors": 0, "malformed": 1,
    } | more  # fmt: skip


def test_a_level_is_described_in_a_line() -> None:
    assert describe_row(row("stage-a", 2.0, 2.5)) == (
        "stage-a, 4 clients: 2.0 and 2.5/s = 0.8, tokens 1.0, p50 2.0 and 2.0 ms (+1.5); 9 answers, 0 errors, 1 unreadable"
    )


def test_ratios_between_parts_are_of_what_several_calls_have_measured(tmp_path: Path) -> None:
    kept = tmp_path / "kept.json"
    first = Results(tmp_path / "1.json", kept, 0.0)
    first.save("parts", "pairs", {"rows": [row("caption", 30.0, 31.0), row("stage-a ×1", 40.0, 41.0)]})
    second = Results(tmp_path / "2.json", kept, 0.0)
    second.save("parts", "stock", {"rows": [row("caption", 20.0, 24.0), row("stage-a ×1", 25.0, 32.0)]})
    second.save("parts", "fp8", {"rows": [row("caption", None, 46.5)]})
    second.save("parts", "transformers", {"photos_per_s": 1.6})
    assert json.loads((tmp_path / "2.json").read_text("utf-8")) == json.loads(kept.read_text("utf-8"))
    assert conclusions(second, 4) == {
        "caption, 4 clients: ours ÷ vLLM as it comes": 1.5,
        "caption, 4 clients: ours ÷ vLLM as it comes without a grammar": 1.25,
        "caption, 4 clients: fp8 ÷ our flags": 1.5,
        "caption, 4 clients: ours ÷ vLLM as it comes, by tokens": 1.0,
        "caption, 4 clients: ours ÷ vLLM as it comes without a grammar, by tokens": 1.0,
        "caption, 4 clients: fp8 ÷ our flags, by tokens": 1.0,
        "stage-a, 4 clients: ours ÷ vLLM as it comes": 1.6,
        "stage-a, 4 clients: ours ÷ vLLM as it comes without a grammar": 1.25,
        "stage-a, 4 clients: ours ÷ vLLM as it comes, by tokens": 1.0,
        "stage-a, 4 clients: ours ÷ vLLM as it comes without a grammar, by tokens": 1.0,
        "stage-a, 4 clients: ours ÷ transformers batch 8": 25.0,
        "captions under the grammar": 18,
        "of them unreadable": 2,
    }


def test_without_pairs_raw_alone_is_what_others_are_read_against(tmp_path: Path) -> None:
    results = Results(tmp_path / "results.json", tmp_path / "none.json", 0.0)
    for name, rate in {"raw": 40.0, "fp8": 36.0}.items():
        results.save("parts", name, {"rows": [row("stage-a ×1", None, rate)]})
    results.save("parts", "transformers", {"photos_per_s": 4.0})
    found = conclusions(results, 4)
    assert found["stage-a, 4 clients: fp8 ÷ our flags"] == 0.9
    assert found["stage-a, 4 clients: our flags ÷ transformers batch 8"] == 10.0
    assert "stage-a, 4 clients: our flags ÷ transformers batch 8, by tokens" not in found


def test_engines_that_recite_are_compared_with_each_other(tmp_path: Path) -> None:
    results = Results(tmp_path / "results.json", tmp_path / "none.json", 0.0)
    for name, rate in {"recited": 20.0, "drafts": 30.0, "recited-stock": 15.0}.items():
        results.save("parts", name, {"rows": [row("caption", None, rate)]})
    results.save("parts", "drafts-pairs", {"rows": [row("caption", 27.0, 30.0)]})
    found = conclusions(results, 4)
    assert found["caption, 4 clients: drafts ÷ recited"] == 1.5
    assert found["caption, 4 clients: drafts ÷ recited-stock"] == 2.0
    assert "caption, 4 clients: recited-stock ÷ recited" not in found
    assert found["caption, 4 clients: drafts, our service ÷ recited-stock"] == 1.8
    assert found["captions under the grammar"] == 36


@pytest.mark.parametrize("line", ["INFO Available KV cache memory: 61 GiB", "Model loading took 8.9 GiB memory"])
def test_what_an_engine_says_of_itself_is_kept_once(line: str) -> None:
    assert engine_facts(f"noise\n{line}\n{line}\nnoise") == [line]


def test_stacks_become_tables_of_threads_and_functions_by_their_share_of_a_core() -> None:
    folded = "thread (1): Main;run (a.py);sum (b.py);sum (b.py) 60\nthread (1): Main;run (a.py) 20\nthread (2): IO 5\n"
    assert tables(folded, 1.0) == [
        "  threads: 0.80 thread (1): Main",
        "  threads: 0.05 thread (2): IO",
        "  self: 0.60 sum (b.py)",
        "  self: 0.20 run (a.py)",
        "  total: 0.80 run (a.py)",
        "  total: 0.60 sum (b.py)",
    ]
    assert tables(folded, 1.0, "Main")[2:] == [
        "  self: 0.75 sum (b.py)",
        "  self: 0.25 run (a.py)",
        "  total: 1.00 run (a.py)",
        "  total: 0.75 sum (b.py)",
    ]


@asynccontextmanager
async def stub_engine(
    settings: EngineSettings, *, as_it_comes: bool, log_path: Path, start_timeout_s: float
) -> AsyncGenerator[RunningServer, None]:
    if settings.quantization is not None:
        raise RuntimeError("no fp8 here")
    log_path.write_text("INFO Available KV cache memory: 61 GiB\n", "utf-8")  # noqa: ASYNC240  (one line)
    async with running_stub_engine() as socket:
        yield RunningServer(target=Target(host="localhost", port=80, uds=str(socket)))


async def test_parts_of_one_engine_share_it_and_a_failed_part_does_not_stop_the_others(tmp_path: Path) -> None:
    results = Results(tmp_path / "results.json", tmp_path / "state.json", perf_counter())
    scale = replace(DRY_RUN, photos=Photos(width=256, height=192, drawn=2), window_s=0.2)
    bench = GpuBench(
        Path("model"), results, tmp_path, until=perf_counter() + 100, scale=scale, variants=VARIANTS, launch=stub_engine
    )
    await bench.perform(["warm", "fp8", "raw"])
    document = json.loads((tmp_path / "results.json").read_text("utf-8"))
    assert document["failed"] == {"fp8": "RuntimeError: no fp8 here"}
    assert [*document["engines"]] == ["ours", "fp8"]
    assert document["engines"]["ours"]["facts"] == ["INFO Available KV cache memory: 61 GiB"]
    rows = [(name, row["label"], row["clients"]) for name in ("warm", "raw") for row in document["parts"][name]["rows"]]
    assert rows == [
        *[("warm", "caption multipart", 4), ("warm", "stage-a ×1", 4)],
        *[("raw", label, clients) for clients in (4, 1) for label in ("caption multipart", "stage-a ×1")],
    ]
    assert all(row["ours"] is None and row["errors"] == 0 for row in document["parts"]["raw"]["rows"])
