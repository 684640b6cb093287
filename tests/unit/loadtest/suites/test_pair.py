"""``vqc-bench pair``: its rounds, its usage errors and its table."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from loadtest.cli import main
from loadtest.http.requests import Target
from loadtest.load.outcome import RequestOutcome
from loadtest.load.pairs import Level, PairMeasurement, PairPlan, PairReport, PairRow, SideFigures
from loadtest.load.payloads import Payloads
from loadtest.load.scenario import CaptionLoad, StageALoad
from loadtest.suites.pair import compare_with_vllm, print_report
from loadtest.targets.server import RunningServer

DEMO = Path(__file__).parents[4] / "deploy" / "demo" / "model"


@pytest.mark.parametrize("clients", ["0", "1,x", ""])
def test_clients_must_be_whole_numbers(clients: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["pair", "--model", str(DEMO), "--clients", clients])
    assert "must be whole numbers from 1" in capsys.readouterr().err


def figures(per_s: float) -> SideFigures:
    return SideFigures(per_s=per_s, tokens_per_s=None, p50_ms=10.0, p99_ms=20.0)


def test_rounds_take_a_pair_of_each_level_in_turn_until_the_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    now, asked, finished = 0.0, list[tuple[str, int, int]](), list[PairRow]()

    async def measure_side(_: PairMeasurement, level: Level, side: int) -> SideFigures:
        nonlocal now
        now += 10.0
        asked.append((level.label.split()[0], level.clients, side))
        level.outcomes.append(RequestOutcome(label=level.label, due=0, sent=0, ended=now))
        return figures(9.0 if side else 12.0)

    monkeypatch.setattr("loadtest.load.pairs.perf_counter", lambda: now)
    monkeypatch.setattr("loadtest.suites.pair.perf_counter", lambda: now)
    monkeypatch.setattr(PairMeasurement, "_measure_side", measure_side)
    monkeypatch.setattr(PairMeasurement, "_warm_up", lambda *_: asyncio.sleep(0))
    plan = PairPlan(clients=(8,), seconds=8.0, rounds=3, timeout_s=9.0, budget_s=65.0)
    engine = RunningServer(target=Target(host="localhost", port=80, uds="/nowhere"))
    payloads = Payloads(drawn=(), lines=(), repeated=0.0, run="x")
    loads = (CaptionLoad(), StageALoad())
    report = asyncio.run(compare_with_vllm(engine, "vqc", loads, plan, payloads, sides="free", on_row=finished.append))
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
        label="stage-a ×1", clients=16, pairs=3, ours=figures(9.5), raw=figures(10.0), ratio=0.95, spread=(0.9, 0.99),
        token_ratio=None, overhead_ms=1.5, answers=60, errors=0, malformed=0,
    )  # fmt: skip
    print_report(PairReport(rows=(row,), problems=()), free=False, as_document=False)
    shown = capsys.readouterr().out
    assert "ours/s" in shown
    assert all(part in shown for part in ("stage-a ×1", "9.500", "10.000", "0.950", "–"))
