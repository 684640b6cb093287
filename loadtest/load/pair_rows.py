"""What a pair of windows is measured as, and the row that the pairs of a level make."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from loadtest.load.outcome import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Answers and engine tokens a second once there were as many answers as clients, and milliseconds."""

    per_s: float
    tokens_per_s: float | None
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PairRow:
    """One level. Sides are the medians over the pairs; ``ratio`` and ``token_ratio`` the median of ours ÷ raw within each.

    ``overhead_ms`` is the median of the differences of p50. ``spread`` is the lowest and highest ratio of a pair. All of them
    and ``ours`` are None where raw vLLM was asked alone.
    """

    label: str
    clients: int
    pairs: int
    ours: Window | None
    raw: Window
    ratio: float | None
    spread: tuple[float, float] | None
    token_ratio: float | None
    overhead_ms: float | None
    answers: int
    errors: int
    malformed: int


def row_of(
    label: str, clients: int, pairs: Sequence[tuple[Window | None, Window]], outcomes: Sequence[Outcome]
) -> PairRow:
    """The row of a level, of its pairs of windows (ours, raw) and all outcomes. There must be a pair."""
    both = [(ours, raw) for ours, raw in pairs if ours]
    ratios = [ours.per_s / raw.per_s for ours, raw in both]
    tokens = [
        ours.tokens_per_s / raw.tokens_per_s for ours, raw in both if ours.tokens_per_s is not None and raw.tokens_per_s
    ]
    return PairRow(
        label=label,
        clients=clients,
        pairs=len(pairs),
        ours=_median([ours for ours, _ in both]) if both else None,
        raw=_median([raw for _, raw in pairs]),
        ratio=round(statistics.median(ratios), 3) if both else None,
        spread=(round(min(ratios), 3), round(max(ratios), 3)) if both else None,
        token_ratio=round(statistics.median(tokens), 3) if tokens else None,
        overhead_ms=round(statistics.median(ours.p50_ms - raw.p50_ms for ours, raw in both), 2) if both else None,
        answers=len(outcomes),
        errors=sum(one.failed for one in outcomes),
        malformed=sum(one.malformed for one in outcomes),
    )


def _median(windows: Sequence[Window]) -> Window:
    tokens = [window.tokens_per_s for window in windows if window.tokens_per_s is not None]
    return Window(
        per_s=statistics.median(window.per_s for window in windows),
        tokens_per_s=statistics.median(tokens) if tokens else None,
        p50_ms=statistics.median(window.p50_ms for window in windows),
        p99_ms=statistics.median(window.p99_ms for window in windows),
    )
