"""The schedule that generator processes share."""

from __future__ import annotations

from loadtest.load.scenario import scenario_of
from loadtest.load.workers import schedule


def test_a_schedule_numbers_through_and_draws_kinds_by_their_shares() -> None:
    mix = [{"task": "caption", "share": 3}, {"task": "stage-a", "share": 1}]
    scenario = scenario_of({"mix": mix, "arrivals": "even"}, "here")
    due = schedule(scenario, 100.0, 20.0, step=0, first=7)
    assert [one.n for one in due] == list(range(7, 2007))
    assert 0.7 < sum(one.job == 0 for one in due) / len(due) < 0.8
    assert due == schedule(scenario, 100.0, 20.0, step=0, first=7)
    assert [one.job for one in due] != [one.job for one in schedule(scenario, 100.0, 20.0, step=1, first=7)]
