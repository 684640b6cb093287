"""SLOs and figures over outcomes."""

from __future__ import annotations

import pytest

from loadtest.load.outcome import RequestOutcome, figures, meets_slo
from loadtest.load.scenario import Slo


def outcome(
    took_ms: float, problem: str | None = None, malformed: bool = False, first_ms: float | None = None
) -> RequestOutcome:
    first = None if first_ms is None else 10 + first_ms / 1000
    return RequestOutcome(
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
    assert meets_slo(slo, [*fast, outcome(1000)])
    assert not meets_slo(slo, [*fast, outcome(1000), outcome(5, problem="status 500")])
    assert meets_slo(slo, [*fast, outcome(50, problem="status 502", malformed=True)])
    assert not meets_slo(Slo(quantile=0.5, ms=100, of="first_object"), [outcome(50)])
    assert meets_slo(Slo(quantile=0.5, ms=100, of="first_object"), [outcome(500, first_ms=80)])


def test_figures_count_from_when_a_request_was_due() -> None:
    found = figures("x", [outcome(100, first_ms=40), outcome(300), outcome(9, problem="lost")], began=10.0)
    assert (found.requests, found.errors, found.p50_ms, found.first_p50_ms) == (3, 1, 200.0, 40.0)
    assert found.lag_p99_ms == pytest.approx(1.0)
    assert found.per_s == pytest.approx(2 / 0.3, abs=0.001)
