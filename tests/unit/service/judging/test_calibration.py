from fractions import Fraction
from itertools import pairwise
from math import comb
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.judging.calibration import (
    ScoredTicket,
    binomial_tail,
    calibrate,
    risk_coverage,
    upper_bound,
)
from vqc.errors import InvalidValue
from vqc.verdict import Verdict

TICKET = st.builds(
    ScoredTicket,
    verdict=st.sampled_from(Verdict),
    score=st.sampled_from([0.1, 0.3, 0.5, 0.7, 0.9]),
    label=st.sampled_from(Verdict),
)


def drawn(random, count):
    """Half the tickets failed; 70 % of those are called 通过, with scores uniform on 0 to 1, passed ones higher."""
    for _ in range(count):
        failed = random.random() < 0.5
        verdict = Verdict.PASS if random.random() < (0.7 if failed else 0.95) else Verdict.FAIL
        score = random.random() if failed else max(random.random(), random.random())
        yield ScoredTicket(verdict=verdict, score=score, label=Verdict.FAIL if failed else Verdict.PASS)


def test_the_budget_is_exceeded_in_no_more_draws_than_stated():
    """The true risk at threshold t is 0.7·(1 - t); slack: three standard deviations of 200 draws."""
    draws, budget, delta = 200, 0.05, 0.1
    exceeded = covered = 0
    for seed in range(draws):
        found = calibrate(list(drawn(Random(seed), 300)), budget=budget, delta=delta)
        if found.threshold is not None:
            covered += 1
            exceeded += 0.7 * (1 - found.threshold) > budget
    assert exceeded <= draws * delta + 3 * (draws * delta * (1 - delta)) ** 0.5
    assert exceeded > 0, "a threshold that is never too lax wastes coverage"
    assert covered > 0.9 * draws


@given(st.lists(TICKET, max_size=60))
def test_the_threshold_is_the_laxest_that_the_tail_allows(tickets):
    found = calibrate(tickets, budget=0.3, delta=0.2)
    failed = sum(ticket.label is Verdict.FAIL for ticket in tickets)
    allowed = [
        point.threshold
        for point in risk_coverage(tickets)[1:]
        if binomial_tail(round(point.risk * failed), failed, 0.3) <= 0.2
    ]
    assert found.threshold == min(filter(None, allowed), default=None)
    released = [t for t in tickets if t.verdict is Verdict.PASS and found.releases(t.verdict, t.score)]
    assert found.released_failed == sum(ticket.label is Verdict.FAIL for ticket in released)
    assert found.threshold is None or found.risk_bound <= 0.3 + 1e-9


@given(st.lists(TICKET, max_size=60))
def test_risk_and_coverage_grow_together(tickets):
    points = risk_coverage(tickets)
    for strict, lax in pairwise(points):
        assert strict.coverage < lax.coverage
        assert strict.risk <= lax.risk
        assert strict.threshold is None or (lax.threshold or 0) < strict.threshold


@given(st.integers(0, 30), st.integers(0, 30), st.sampled_from([Fraction(1, 20), Fraction(1, 2), Fraction(9, 10)]))
def test_the_tail_is_the_exact_sum(k, n, p):
    exact = sum(comb(n, j) * p**j * (1 - p) ** (n - j) for j in range(min(k, n) + 1))
    assert binomial_tail(k, n, float(p)) == pytest.approx(float(exact), rel=1e-9)


def test_the_bound_is_where_the_tail_is_delta():
    assert binomial_tail(3, 50, upper_bound(3, 50, 0.1)) == pytest.approx(0.1)
    assert upper_bound(5, 5, 0.1) == 1.0


def test_without_failed_tickets_nothing_is_certified():
    tickets = [ScoredTicket(verdict=Verdict.PASS, score=0.9, label=Verdict.PASS)] * 500
    found = calibrate(tickets)
    assert (found.threshold, found.coverage) == (None, 0.0)
    assert not found.releases(Verdict.PASS, 1.0)


@pytest.mark.parametrize("wrong", [{"budget": 0.0}, {"budget": 1.0}, {"delta": 0.0}, {"delta": 1.5}])
def test_a_budget_is_a_share(wrong):
    with pytest.raises(InvalidValue, match=next(iter(wrong))):
        calibrate([], **wrong)


def test_a_score_is_a_number():
    with pytest.raises(InvalidValue, match="score"):
        ScoredTicket(verdict=Verdict.PASS, score=float("nan"), label=Verdict.PASS)
