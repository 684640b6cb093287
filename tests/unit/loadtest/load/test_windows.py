"""When a measurement window begins, and which answers it counts."""

from __future__ import annotations

import pytest

from loadtest.load.outcome import RequestOutcome
from loadtest.load.windows import Window, measure_window
from tests.support.http_server import OK, PlainJob, say, serving


def test_a_window_counts_from_the_moment_when_every_client_may_have_been_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 100.0
    monkeypatch.setattr("loadtest.load.windows.perf_counter", lambda: now)
    window, answers = Window(2, seconds=8.0, warm_up_s=2.0), [RequestOutcome(label="x", due=0, sent=0, ended=103.0)] * 2
    now = 101.0
    assert window.is_ongoing(answers)  # as many as clients, but too early: a quarter of the window warms up
    now = 110.0
    assert window.is_ongoing(answers[:1])  # one client has waited all the time
    assert window.is_ongoing(answers)
    now = 117.9
    assert window.is_ongoing(answers)
    now = 118.0
    assert not window.is_ongoing(answers)
    assert [
        window.counts(RequestOutcome(label="x", due=0, sent=0, ended=at)) for at in (109.0, 111.0, 118.0, 119.0)
    ] == [
        False,
        True,
        True,
        False,
    ]


def test_a_window_does_not_begin_before_all_clients_have_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("loadtest.load.windows.perf_counter", lambda: now)
    window, answers = Window(2, seconds=8.0, warm_up_s=5.0), [RequestOutcome(label="x", due=0, sent=0, ended=103.0)] * 9
    now = 104.9
    window.is_ongoing(answers)
    assert not window.begun.is_set()
    now = 105.0
    window.is_ongoing(answers)
    assert window.begun.is_set()


async def test_samples_are_taken_at_both_ends_of_a_window() -> None:
    taken = list[int]()

    async def sample() -> int:
        taken.append(len(taken))
        return taken[-1]

    async with serving(say(OK)) as (server, target):
        found = await measure_window(
            target, PlainJob(), 2, iter(range(100_000)), seconds=0.05, warm_up_s=0.02, timeout_s=120, sample=sample
        )
    assert (found.before, found.after, taken) == (0, 1, [0, 1])
    assert found.seconds >= 0.05
    assert 0 < len(found.counted) < len(found.outcomes) == server.requests


async def test_a_sample_that_fails_fails_the_window() -> None:
    async def sample() -> int:
        raise RuntimeError("gone")

    async with serving(say(OK)) as (_, target):
        with pytest.raises(RuntimeError, match="gone"):
            await measure_window(
                target, PlainJob(), 1, iter(range(100_000)), seconds=0.02, warm_up_s=0.0, timeout_s=120, sample=sample
            )
