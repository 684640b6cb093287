"""Dummy checkpoints, and what the pairs' command refuses and says."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from loadtest.cli import main
from loadtest.http.requests import Target
from loadtest.load.outcome import Outcome
from loadtest.load.pair_cli import _print
from loadtest.load.pair_rows import PairRow, Window
from loadtest.load.payloads import Supply
from loadtest.load.reading import Job
from loadtest.load.scenario import CaptionLoad, Photos, StageALoad
from loadtest.suites.pair import PairPlan, PairReport, _Measuring, _Span, compare
from loadtest.targets.dummy_checkpoint import SIZES, VOCABULARY, write_dummy_checkpoint
from loadtest.targets.service import Served
from vqc.errors import InvalidValue

DEMO = Path(__file__).parents[3] / "deploy" / "demo" / "model"


@pytest.mark.parametrize("size", SIZES)
def test_a_dummy_has_a_tokenizer_for_every_id_and_no_weights(size: str, tmp_path: Path) -> None:
    out = write_dummy_checkpoint(DEMO, tmp_path / size, size)
    names = {path.name for path in out.iterdir()}
    assert {"config.json", "tokenizer.json", "preprocessor_config.json", "chat_template.jinja"} <= names
    assert not {name for name in names if "safetensors" in name or "manifest" in name}
    tokenizer, config = (json.loads((out / name).read_text("utf-8")) for name in ("tokenizer.json", "config.json"))
    added = {token["content"]: token["id"] for token in tokenizer["added_tokens"]}
    known = {*tokenizer["model"]["vocab"].values(), *added.values()}
    assert known >= set(range(VOCABULARY))
    processor = json.loads((out / "preprocessor_config.json").read_text("utf-8"))
    assert processor["size"] == {"shortest_edge": 65_536, "longest_edge": 1024 * 768}
    assert config["image_token_id"] == added["<|image_pad|>"]
    assert config["vision_config"]["out_hidden_size"] == config["text_config"]["hidden_size"] == SIZES[size].hidden


def test_transformers_takes_the_config_for_a_qwen3_vl(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.AutoConfig.from_pretrained(write_dummy_checkpoint(DEMO, tmp_path / "4b", "4b"))
    assert type(config).__name__ == "Qwen3VLConfig"
    assert (config.text_config.num_hidden_layers, config.vision_config.depth) == (36, 24)


def test_a_dummys_tokenizer_gives_images_the_number_that_its_config_says(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    out = write_dummy_checkpoint(DEMO, tmp_path / "4b", "4b")
    config, tokenizer = (kind.from_pretrained(out) for kind in (transformers.AutoConfig, transformers.AutoTokenizer))
    assert tokenizer.convert_tokens_to_ids("<|image_pad|>") == config.image_token_id
    assert tokenizer.convert_tokens_to_ids("<|im_end|>") == config.text_config.eos_token_id
    assert len(tokenizer) == VOCABULARY


def test_what_cannot_be_a_dummy_is_said(tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match="valid: 2b, 4b, 8b"):
        write_dummy_checkpoint(DEMO, tmp_path / "x", "3b")
    with pytest.raises(InvalidValue, match="must be a Qwen3-VL checkpoint directory"):
        write_dummy_checkpoint(tmp_path, tmp_path / "x", "2b")


@pytest.mark.parametrize("clients", ["0", "1,x", ""])
def test_clients_must_be_whole_numbers(clients: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["pair", "--model", str(DEMO), "--clients", clients])
    assert "must be whole numbers from 1" in capsys.readouterr().err


def window(per_s: float) -> Window:
    return Window(per_s=per_s, tokens_per_s=None, p50_ms=10.0, p99_ms=20.0)


def test_rounds_take_a_pair_of_each_level_in_turn_until_the_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    now, asked, finished = 0.0, list[tuple[str, int, int]](), list[PairRow]()

    async def a_window(_: _Measuring, side: int, job: Job, clients: int, outcomes: list[Outcome]) -> Window:
        nonlocal now
        now += 10.0
        asked.append((job.label.split()[0], clients, side))
        outcomes.append(Outcome(label=job.label, due=0, sent=0, ended=now))
        return window(9.0 if side else 12.0)

    monkeypatch.setattr("loadtest.suites.pair.perf_counter", lambda: now)
    monkeypatch.setattr(_Measuring, "_window", a_window)
    monkeypatch.setattr(_Measuring, "warm_up", lambda *_: asyncio.sleep(0))
    plan = PairPlan(
        loads=(CaptionLoad(), StageALoad()), clients=(8,), seconds=8.0, rounds=3, photos=Photos(), timeout_s=9.0,
        malformed_too=True, sides="free", budget_s=65.0,
    )  # fmt: skip
    engine = Served(target=Target(host="localhost", port=80, uds="/nowhere"))
    supply = Supply(drawn=(), lines=(), repeated=0.0, run="x")
    report = asyncio.run(compare(engine, "vqc", plan, supply, finished=finished.append))
    assert asked == [
        *[("caption", 8, 0), ("caption", 8, 1), ("stage-a", 8, 1), ("stage-a", 8, 0)],
        *[("caption", 8, 1), ("caption", 8, 0)],  # and no time for a second pair of Stage-A
    ]
    assert [(row.label.split()[0], row.pairs, row.ratio, row.answers) for row in finished] == [
        *[("caption", 1, 1.333, 2), ("stage-a", 1, 1.333, 2), ("caption", 2, 1.333, 4)]
    ]
    assert report == PairReport(rows=(finished[2], finished[1]), problems=())


def test_a_row_shows_both_sides_and_a_dash_for_what_is_not_known(capsys: pytest.CaptureFixture[str]) -> None:
    row = PairRow(
        label="stage-a ×1", clients=16, pairs=3, ours=window(9.5), raw=window(10.0), ratio=0.95, spread=(0.9, 0.99),
        token_ratio=None, overhead_ms=1.5, answers=60, errors=0, malformed=0,
    )  # fmt: skip
    _print(PairReport(rows=(row,), problems=()), free=False, as_document=False)
    shown = capsys.readouterr().out
    assert "ours/s" in shown
    assert all(part in shown for part in ("stage-a ×1", "9.500", "10.000", "0.950", "–"))


def test_a_window_counts_from_the_moment_when_every_client_may_have_been_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 100.0
    monkeypatch.setattr("loadtest.suites.pair.perf_counter", lambda: now)
    span, answers = _Span(2, seconds=8.0), [Outcome(label="x", due=0, sent=0, ended=103.0)] * 2
    now = 101.0
    assert span.ongoing(answers)  # as many as clients, but too early: a quarter of the window warms up
    now = 110.0
    assert span.ongoing(answers[:1])  # one client has waited all the time
    assert span.ongoing(answers)
    now = 117.9
    assert span.ongoing(answers)
    now = 118.0
    assert not span.ongoing(answers)
    assert [span.counts(Outcome(label="x", due=0, sent=0, ended=at)) for at in (109.0, 111.0, 118.0, 119.0)] == [
        False,
        True,
        True,
        False,
    ]


def test_a_window_does_not_begin_before_all_clients_have_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("loadtest.suites.pair.perf_counter", lambda: now)
    span, answers = _Span(2, seconds=8.0, spread_s=5.0), [Outcome(label="x", due=0, sent=0, ended=103.0)] * 9
    now = 104.9
    span.ongoing(answers)
    assert not span.begun.is_set()
    now = 105.0
    span.ongoing(answers)
    assert span.begun.is_set()
