"""What became of each request, and the figures of many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from loadtest.load.scenario import Slo
from loadtest.quantiles import quantile


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One exchange. Times are moments (``perf_counter``): when it was due, was sent, its first object, its end."""

    label: str
    due: float
    sent: float
    ended: float
    first_object: float | None = None
    problem: str | None = None
    malformed: bool = False
    completion_tokens: int = 0

    @property
    def failed(self) -> bool:
        """Whether it counts as never answered. An unreadable text of the model is an answer."""
        return self.problem is not None and not self.malformed

    def took(self, slo: Slo) -> float:
        """The milliseconds that ``slo`` limits; infinite for a request that failed, or that has no first object."""
        if self.failed:
            return inf
        moment = self.ended if slo.of == "answer" else self.first_object
        return inf if moment is None else (moment - self.due) * 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Figures of one kind of request in one step. Milliseconds count from when a request was due; failed ones are left out.

    ``per_s`` counts answers from the step's beginning to the last of them. ``lag_p99_ms`` is how late the generator sent:
    where it is not small beside the latencies, the generator was the limit.
    """

    label: str
    requests: int
    errors: int
    malformed: int
    per_s: float
    tokens_per_s: float
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    first_p50_ms: float | None
    first_p95_ms: float | None
    lag_p99_ms: float


def figures(label: str, outcomes: Sequence[Outcome], began: float) -> Figures:
    """The figures of at least one outcome."""
    answered = [one for one in outcomes if not one.failed]
    took = sorted((one.ended - one.due) * 1000 for one in answered)
    first = sorted((one.first_object - one.due) * 1000 for one in answered if one.first_object is not None)
    lag = sorted((one.sent - one.due) * 1000 for one in outcomes)
    seconds = max(max(one.ended for one in outcomes) - began, 1e-9)
    return Figures(
        label=label,
        requests=len(outcomes),
        errors=len(outcomes) - len(answered),
        malformed=sum(one.malformed for one in outcomes),
        per_s=round(len(answered) / seconds, 3),
        tokens_per_s=round(sum(one.completion_tokens for one in answered) / seconds, 1),
        p50_ms=_at(took, 0.5),
        p95_ms=_at(took, 0.95),
        p99_ms=_at(took, 0.99),
        first_p50_ms=_at(first, 0.5),
        first_p95_ms=_at(first, 0.95),
        lag_p99_ms=round(quantile(lag, 0.99), 2),
    )


def met(slo: Slo, outcomes: Sequence[Outcome]) -> bool:
    """Whether at least the share ``slo.quantile`` of the outcomes took no longer than it says. True of none."""
    fast = sum(one.took(slo) <= slo.ms for one in outcomes)
    return fast >= slo.quantile * len(outcomes)


def _at(ascending: Sequence[float], q: float) -> float | None:
    return round(quantile(ascending, q), 2) if ascending else None
