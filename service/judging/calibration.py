"""The release threshold: the lowest score at which a 通过 is released without review (learn-then-test on one risk).

    risk(t) = P(the verdict is 通过 and its score is at least t | the ticket truly failed)

The risk is the share of failed tickets that are released. Candidate thresholds are tested from strict to lax, each with
the exact binomial tail p(t) = P(Bin(failed, budget) ≤ released(t)); the last one before the first p(t) > delta is chosen.
With probability at least 1 - delta over the calibration tickets, the risk at this threshold is within the budget. This
holds for any meaning of the scores, if calibration tickets and future tickets are independent draws of one distribution.
Source: Angelopoulos et al., Learn then Test, 2021 (arXiv:2110.01052).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, fsum, isfinite, lgamma, log, log1p

from vqc.errors import InvalidValue
from vqc.verdict import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredTicket:
    """A selected verdict, the score of its rollout, and the ticket's label."""

    verdict: Verdict
    score: float
    label: Verdict

    def __post_init__(self) -> None:
        if not isfinite(self.score):
            raise InvalidValue("score", self.score, "must be a finite number")


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint:
    """The effect of one threshold on the sample. ``threshold`` None releases nothing.

    ``coverage`` is the share of all tickets that need no review (every 不通过 and each released 通过); ``risk`` is the
    share of the failed tickets that are released.
    """

    threshold: float | None
    coverage: float
    risk: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """A threshold and the sample that certified it. ``threshold`` None: none is certified, so no 通过 is released.

    ``risk_bound`` is the Clopper-Pearson upper bound on the risk at confidence 1 - ``delta`` for this threshold alone.
    """

    threshold: float | None
    budget: float
    delta: float
    failed: int
    released_failed: int
    coverage: float
    risk_bound: float

    def releases(self, verdict: Verdict, score: float) -> bool:
        """Whether the verdict may leave without review. 不通过 always may."""
        return verdict is Verdict.FAIL or (self.threshold is not None and score >= self.threshold)


def calibrate(tickets: Sequence[ScoredTicket], *, budget: float = 0.05, delta: float = 0.1) -> Calibration:
    """The laxest threshold that keeps the risk within ``budget``; the chance that it does not is at most ``delta``.

    Even if no failed ticket is released, ``budget`` 0.05 and ``delta`` 0.1 need at least 45 failed tickets.

    >>> failed = [ScoredTicket(verdict=Verdict.PASS, score=0.5, label=Verdict.FAIL)] * 45
    >>> passed = [ScoredTicket(verdict=Verdict.PASS, score=s, label=Verdict.PASS) for s in (0.4, 0.6, 0.8)]
    >>> found = calibrate([*failed, *passed])
    >>> found.threshold, found.releases(Verdict.PASS, 0.5), found.releases(Verdict.FAIL, 0.5)
    (0.6, False, True)
    >>> print(calibrate([*failed[:44], *passed]).threshold)
    None

    Raises:
        InvalidValue: a budget or delta outside 0 to 1 (both excluded).
    """
    for field, value in (("budget", budget), ("delta", delta)):
        if not 0 < value < 1:
            raise InvalidValue(field, value, "valid: between 0 and 1, both excluded")
    failed = sum(ticket.label is Verdict.FAIL for ticket in tickets)
    nothing_released, *candidates = risk_coverage(tickets)
    chosen, released_failed = nothing_released, 0
    # The risk only grows as the threshold falls, so the null hypotheses are nested: testing strict to lax and stopping at
    # the first one that is not rejected needs no correction for multiple tests, and may take its candidates from the sample.
    for point in candidates:
        released = round(point.risk * failed)
        if binomial_tail(released, failed, budget) > delta:
            break
        chosen, released_failed = point, released
    return Calibration(
        threshold=chosen.threshold,
        budget=budget,
        delta=delta,
        failed=failed,
        released_failed=released_failed,
        coverage=chosen.coverage,
        risk_bound=0.0 if chosen.threshold is None else upper_bound(released_failed, failed, delta),
    )


def risk_coverage(tickets: Sequence[ScoredTicket]) -> tuple[CurvePoint, ...]:
    """The point that releases nothing, then one for each distinct score of a 通过, from strict to lax.

    >>> ticket = ScoredTicket(verdict=Verdict.PASS, score=0.7, label=Verdict.PASS)
    >>> [(point.threshold, point.coverage, point.risk) for point in risk_coverage([ticket])]
    [(None, 0.0, 0.0), (0.7, 1.0, 0.0)]
    """
    failed = sum(ticket.label is Verdict.FAIL for ticket in tickets)
    covered = sum(ticket.verdict is Verdict.FAIL for ticket in tickets)
    false = 0
    points = [CurvePoint(threshold=None, coverage=covered / max(len(tickets), 1), risk=0.0)]
    passing = sorted((t for t in tickets if t.verdict is Verdict.PASS), key=lambda ticket: -ticket.score)
    for place, ticket in enumerate(passing, start=1):
        covered += 1
        false += ticket.label is Verdict.FAIL
        # Tickets with equal scores are released together: only the last of them makes a point.
        if place == len(passing) or passing[place].score < ticket.score:
            risk = false / failed if failed else 0.0
            points.append(CurvePoint(threshold=ticket.score, coverage=covered / len(tickets), risk=risk))
    return tuple(points)


def threshold_effect(calibration: Calibration, tickets: Sequence[ScoredTicket]) -> CurvePoint:
    """The effect of a calibrated threshold on tickets that it was not calibrated on.

    >>> ticket = ScoredTicket(verdict=Verdict.PASS, score=0.7, label=Verdict.FAIL)
    >>> point = threshold_effect(calibrate([ticket]), [ticket])
    >>> point.threshold, point.coverage, point.risk
    (None, 0.0, 0.0)
    """
    failed = sum(ticket.label is Verdict.FAIL for ticket in tickets)
    unreviewed = [ticket for ticket in tickets if calibration.releases(ticket.verdict, ticket.score)]
    false = sum(ticket.verdict is Verdict.PASS and ticket.label is Verdict.FAIL for ticket in unreviewed)
    return CurvePoint(
        threshold=calibration.threshold,
        coverage=len(unreviewed) / max(len(tickets), 1),
        risk=false / failed if failed else 0.0,
    )


def binomial_tail(k: int, n: int, p: float) -> float:
    """P(Bin(n, p) ≤ k) for 0 < p < 1.

    >>> round(binomial_tail(1, 3, 0.5), 12), binomial_tail(0, 0, 0.05)
    (0.5, 1.0)
    """
    if k >= n:
        return 1.0
    # Through logarithms: the binomial coefficients of a few thousand tickets overflow a float.
    terms = (lgamma(n + 1) - lgamma(j + 1) - lgamma(n - j + 1) + j * log(p) + (n - j) * log1p(-p) for j in range(k + 1))
    return min(1.0, fsum(map(exp, terms)))


def upper_bound(k: int, n: int, delta: float) -> float:
    """The Clopper-Pearson upper bound: the largest p with P(Bin(n, p) ≤ k) ≥ delta, by bisection.

    >>> round(upper_bound(0, 45, 0.1), 4)
    0.0499
    """
    if k >= n:
        return 1.0
    # The tail falls as p grows; 60 halvings reach the resolution of a float.
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if binomial_tail(k, n, middle) >= delta else (low, middle)
    return high
