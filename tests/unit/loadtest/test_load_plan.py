"""Arrivals, scenarios, SLOs and the search: pure parts of the load generator."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from loadtest.load.arrivals import even, poisson
from loadtest.load.outcome import Outcome, figures, met
from loadtest.load.scenario import Scenario, Slo, read_scenario, scenario_of
from loadtest.load.search import PRECISION, highest_met
from loadtest.load.workers import schedule
from vqc.errors import InvalidValue

SCENARIOS = sorted((Path(__file__).parents[3] / "loadtest" / "scenarios").glob("*.yaml"))
CAPTIONS = {"mix": [{"task": "caption"}]}


@given(st.floats(0.5, 200), st.integers(0, 1000))
def test_poisson_arrivals_ascend_within_the_time_and_come_at_the_rate(rate: float, seed: int) -> None:
    seconds = 400 / rate
    moments = poisson(rate, seconds, seed)
    assert moments == sorted(moments)
    assert all(0 < at < seconds for at in moments)
    assert abs(len(moments) - 400) < 6 * 20  # six standard deviations
    assert moments == poisson(rate, seconds, seed)


def test_even_arrivals_are_at_equal_distances() -> None:
    assert even(4.0, 1.0) == [0.0, 0.25, 0.5, 0.75]


def test_a_schedule_numbers_through_and_draws_kinds_by_their_shares() -> None:
    mix = [{"task": "caption", "share": 3}, {"task": "stage-a", "share": 1}]
    scenario = scenario_of({"mix": mix, "arrivals": "even"}, "here")
    due = schedule(scenario, 100.0, 20.0, step=0, first=7)
    assert [one.n for one in due] == list(range(7, 2007))
    assert 0.7 < sum(one.job == 0 for one in due) / len(due) < 0.8
    assert due == schedule(scenario, 100.0, 20.0, step=0, first=7)
    assert [one.job for one in due] != [one.job for one in schedule(scenario, 100.0, 20.0, step=1, first=7)]


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_every_scenario_that_ships_is_valid(path: Path) -> None:
    assert read_scenario(path).mix


def test_the_defaults_are_a_scenario_that_reads_back() -> None:
    scenario = scenario_of(CAPTIONS, "here")
    assert Scenario.model_validate(yaml.safe_load(yaml.safe_dump(scenario.model_dump(mode="json")))) == scenario


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rate": 3}, "rate: 3 is not valid; an unknown key"),
        ({"rates_per_s": [0]}, "rates_per_s.0: 0 is not valid; Input should be greater than 0"),
        ({"mix": []}, "mix"),
        ({"mix": [{"task": "captions"}]}, "'caption', 'stage-a', 'stage-b'"),
        ({"mix": [{"task": "stage-a", "mission": "挡风板"}]}, "did you mean '挡风板安装检查'"),
        ({"mix": [{"task": "caption"}, {"task": "caption"}]}, "must differ"),
        ({"find": True}, "find needs an slo"),
        ({"mix": [{"task": "stage-b", "slo": {"ms": 1, "of": "first_object"}}]}, "a ticket has no first object"),
        ({"photos": {"width": 10}}, "photos.width: 10"),
    ],
)
def test_what_is_wrong_is_named_with_what_would_be_valid(change: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidValue, match=message.replace("(", r"\(")):
        scenario_of(CAPTIONS | change, "here")


def test_a_file_that_is_no_yaml_is_named(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text("{")
    with pytest.raises(InvalidValue, match="must be a readable YAML file"):
        read_scenario(path)


def outcome(
    took_ms: float, problem: str | None = None, malformed: bool = False, first_ms: float | None = None
) -> Outcome:
    first = None if first_ms is None else 10 + first_ms / 1000
    return Outcome(
        label="x",
        due=10,
        sent=10.001,
        ended=10 + took_ms / 1000,
        first_object=first,
        problem=problem,
        malformed=malformed,
    )


def test_a_failed_request_counts_as_never_answered_and_an_unread_text_as_an_answer() -> None:
    slo = Slo(quantile=0.75, ms=100)
    fast = [outcome(50)] * 3
    assert met(slo, [*fast, outcome(1000)])
    assert not met(slo, [*fast, outcome(1000), outcome(5, problem="status 500")])
    assert met(slo, [*fast, outcome(50, problem="status 502", malformed=True)])
    assert not met(Slo(quantile=0.5, ms=100, of="first_object"), [outcome(50)])
    assert met(Slo(quantile=0.5, ms=100, of="first_object"), [outcome(500, first_ms=80)])


def test_figures_count_from_when_a_request_was_due() -> None:
    found = figures("x", [outcome(100, first_ms=40), outcome(300), outcome(9, problem="lost")], began=10.0)
    assert (found.requests, found.errors, found.p50_ms, found.first_p50_ms) == (3, 1, 200.0, 40.0)
    assert found.lag_p99_ms == pytest.approx(1.0)
    assert found.per_s == pytest.approx(2 / 0.3, abs=0.001)


@given(st.floats(0.02, 500), st.floats(0.5, 50))
async def test_the_search_comes_within_its_precision_of_the_truth(truth: float, first: float) -> None:
    tried: list[float] = []

    async def meets(rate: float) -> bool:
        tried.append(rate)
        return rate <= truth

    found = await highest_met(first, meets)
    if truth < first / 64:
        assert found is None or found <= truth * 1.01
    else:
        assert found is not None
        assert truth / PRECISION <= found * 1.01
        assert found <= truth * 1.01
    assert len(tried) <= 16
