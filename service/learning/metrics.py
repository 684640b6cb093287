"""Metrics of a run's selections: agreement with the labels, false releases, coverage, cost.

Shares are 0 to 1, and None where the whole is empty.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from service.judging.calibration import ScoredTicket, risk_coverage
from service.judging.records import Part
from vqc.verdict import Verdict

NO_VERDICT = "none"
"""The column of tickets without a verdict in a confusion matrix."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectedTicket:
    """The selection of one ticket, for the metrics. ``planted`` is the true label of a drawn ticket, if known."""

    group_id: str
    part: Part
    label: Verdict | None
    verdict: Verdict | None
    score: float
    needs_review: bool
    review_reasons: tuple[str, ...]
    label_contradiction: bool
    sampled: int
    parsed: int
    planned: int
    planted: Verdict | None = None


def measures(tickets: Sequence[SelectedTicket]) -> dict[str, object]:
    """The metrics of one epoch of a mission, over all its tickets and by part."""
    return {
        **_agreement(tickets),
        "parts": {str(part): _agreement([one for one in tickets if one.part is part]) for part in Part},
        "confusion": confusion(tickets),
        "coverage": _share(sum(not one.needs_review for one in tickets), len(tickets)),
        "review_reasons": dict(sorted(Counter(reason for one in tickets for reason in one.review_reasons).items())),
        "format_ok": _share(sum(one.parsed for one in tickets), sum(one.sampled for one in tickets)),
        "samples": {"drawn": sum(one.sampled for one in tickets), "planned": sum(one.planned for one in tickets)},
        "label_noise_candidates": [one.group_id for one in tickets if one.label_contradiction],
        "planted": _planted_noise(tickets),
    }


def confusion(tickets: Sequence[SelectedTicket]) -> dict[str, dict[str, int]]:
    """The number of tickets by label (rows) and verdict (columns).

    >>> confusion([])
    {'通过': {'通过': 0, '不通过': 0, 'none': 0}, '不通过': {'通过': 0, '不通过': 0, 'none': 0}}
    """
    counts = Counter((one.label, one.verdict) for one in tickets)
    return {
        str(label): {str(verdict or NO_VERDICT): counts[label, verdict] for verdict in (*Verdict, None)}
        for label in Verdict
    }


def curve(tickets: Sequence[SelectedTicket]) -> list[dict[str, float | None]]:
    """Risk and coverage of every threshold on the score, over the labelled tickets."""
    points = risk_coverage(scored_tickets(tickets))
    return [{"threshold": point.threshold, "coverage": point.coverage, "risk": point.risk} for point in points]


def scored_tickets(tickets: Sequence[SelectedTicket]) -> list[ScoredTicket]:
    """The labelled tickets, for calibration. One without a verdict is never released, so it counts as 不通过."""
    return [
        ScoredTicket(verdict=one.verdict or Verdict.FAIL, score=one.score, label=one.label)
        for one in tickets
        if one.label is not None
    ]


def headline(measured: Mapping[str, object]) -> str:
    """The main metrics in one line.

    >>> headline({"labelled": 2, "accuracy": 0.5, "false_release": None, "coverage": 1.0})
    '2 labelled tickets: accuracy 0.500, false release -, coverage 1.000'
    """
    numbers = (
        f"{name.replace('_', ' ')} {_number(measured[name])}" for name in ("accuracy", "false_release", "coverage")
    )
    return f"{measured['labelled']} labelled tickets: {', '.join(numbers)}"


def _agreement(tickets: Sequence[SelectedTicket]) -> dict[str, object]:
    known = [one for one in tickets if one.label is not None]
    failed = [one for one in known if one.label is Verdict.FAIL]
    passed = [one for one in known if one.label is Verdict.PASS]
    given = [one for one in known if not one.needs_review]
    # Every selected 通过 of a failed ticket, reviewed or not: what would leave if no ticket were reviewed.
    released = [one for one in failed if one.verdict is Verdict.PASS]
    return {
        "tickets": len(tickets),
        "labelled": len(known),
        "accuracy": _share(sum(one.verdict is one.label for one in known), len(known)),
        "false_release": _share(len(released), len(failed)),
        "false_alarm": _share(sum(one.verdict is Verdict.FAIL for one in passed), len(passed)),
        "accuracy_when_given": _share(sum(one.verdict is one.label for one in given), len(given)),
        "false_release_when_given": _share(sum(not one.needs_review for one in released), len(failed)),
    }


def _planted_noise(tickets: Sequence[SelectedTicket]) -> dict[str, object] | None:
    """The label-noise candidates against the planted noise; None without true labels."""
    known = [one for one in tickets if one.planted is not None]
    if not known:
        return None
    noisy = {one.group_id for one in known if one.planted is not one.label}
    candidates = {one.group_id for one in known if one.label_contradiction}
    return {
        "noisy_labels": len(noisy),
        "candidates": len(candidates),
        "found": len(noisy & candidates),
        "accuracy_against_truth": _share(sum(one.verdict is one.planted for one in known), len(known)),
    }


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 6) if whole else None


def _number(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else "-"
