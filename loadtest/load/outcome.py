"""The outcome of each request, and figures over many outcomes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from loadtest.load.scenario import Slo
from loadtest.quantiles import quantile


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestOutcome:
    """One exchange. ``due``, ``sent``, ``first_object`` and ``ended`` are moments (``perf_counter``).

    ``is_complete`` is false if the response did not arrive whole: the connection was lost, or the time was up.
    """

    label: str
    due: float
    sent: float
    ended: float
    first_object: float | None = None
    problem: str | None = None
    malformed: bool = False
    completion_tokens: int = 0
    is_complete: bool = True

    @property
    def has_failed(self) -> bool:
        """Whether it counts as unanswered. A model's text that does not parse is an answer."""
        return self.problem is not None and not self.malformed

    def limited_ms(self, slo: Slo) -> float:
        """The milliseconds that ``slo`` limits; infinite if the request failed or has no first object."""
        if self.has_failed:
            return inf
        moment = self.ended if slo.of == "answer" else self.first_object
        return inf if moment is None else (moment - self.due) * 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Figures of one kind of request in one step. Milliseconds count from the due time; failed requests are left out.

    ``per_s`` counts answers from the step's start to its last answer. ``lag_p99_ms`` is how late the generator sent:
    if it is not small against the latencies, the generator was the bottleneck.
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


def figures(label: str, outcomes: Sequence[RequestOutcome], began: float) -> Figures:
    """The figures of one or more outcomes."""
    answered = [one for one in outcomes if not one.has_failed]
    latencies = sorted((one.ended - one.due) * 1000 for one in answered)
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
        p50_ms=_quantile_ms(latencies, 0.5),
        p95_ms=_quantile_ms(latencies, 0.95),
        p99_ms=_quantile_ms(latencies, 0.99),
        first_p50_ms=_quantile_ms(first, 0.5),
        first_p95_ms=_quantile_ms(first, 0.95),
        lag_p99_ms=round(quantile(lag, 0.99), 2),
    )


def meets_slo(slo: Slo, outcomes: Sequence[RequestOutcome]) -> bool:
    """Whether at least the share ``slo.quantile`` of the outcomes took ``slo.ms`` or less. True of no outcomes."""
    fast = sum(one.limited_ms(slo) <= slo.ms for one in outcomes)
    return fast >= slo.quantile * len(outcomes)


def distinct_problems(outcomes: Sequence[RequestOutcome], *, malformed_too: bool) -> list[str]:
    """The problems of the outcomes, each once, in order of first appearance."""
    found = [one.problem for one in outcomes if one.problem and (malformed_too or not one.malformed)]
    return [*dict.fromkeys(found)]


def _quantile_ms(ascending: Sequence[float], q: float) -> float | None:
    return round(quantile(ascending, q), 2) if ascending else None
