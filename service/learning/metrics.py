"""What a run's selections amount to: agreement with the labels, releases, abstention, cost. Shares are 0 to 1.

A share of nothing is None. "Released" counts a 通过 that is given without a person looking.
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
class Selected:
    """One selected ticket as its measures need it. ``planted`` is the true label of a drawn ticket, if it is known."""

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


def measures(tickets: Sequence[Selected]) -> dict[str, object]:
    """The measures of one epoch of a mission, over all its tickets and by part."""
    return {
        **_agreement(tickets),
        "parts": {str(part): _agreement([one for one in tickets if one.part is part]) for part in Part},
        "confusion": confusion(tickets),
        "coverage": _share(sum(not one.needs_review for one in tickets), len(tickets)),
        "review_reasons": dict(sorted(Counter(reason for one in tickets for reason in one.review_reasons).items())),
        "format_ok": _share(sum(one.parsed for one in tickets), sum(one.sampled for one in tickets)),
        "samples": {"drawn": sum(one.sampled for one in tickets), "planned": sum(one.planned for one in tickets)},
        "label_noise_candidates": [one.group_id for one in tickets if one.label_contradiction],
        "planted": _planted(tickets),
    }


def confusion(tickets: Sequence[Selected]) -> dict[str, dict[str, int]]:
    """How many tickets of each label (rows) got which verdict (columns).

    >>> confusion([])
    {'通过': {'通过': 0, '不通过': 0, 'none': 0}, '不通过': {'通过': 0, '不通过': 0, 'none': 0}}
    """
    counts = Counter((one.label, one.verdict) for one in tickets)
    return {
        str(label): {str(verdict or NO_VERDICT): counts[label, verdict] for verdict in (*Verdict, None)}
        for label in Verdict
    }


def curve(tickets: Sequence[Selected]) -> list[dict[str, float | None]]:
    """Risk and coverage for every threshold on the score, over the labelled tickets with a verdict."""
    points = risk_coverage(labelled(tickets))
    return [{"threshold": point.threshold, "coverage": point.coverage, "risk": point.risk} for point in points]


def labelled(tickets: Sequence[Selected]) -> list[ScoredTicket]:
    """The tickets that a threshold can be calibrated on. One without a verdict is never released: it counts as 不通过."""
    return [
        ScoredTicket(verdict=one.verdict or Verdict.FAIL, score=one.score, label=one.label)
        for one in tickets
        if one.label is not None
    ]


def headline(measured: Mapping[str, object]) -> str:
    """One line for a person.

    >>> headline({"labelled": 2, "accuracy": 0.5, "false_release": None, "coverage": 1.0})
    '2 labelled tickets: accuracy 0.500, false release -, coverage 1.000'
    """
    numbers = (
        f"{name.replace('_', ' ')} {_said(measured[name])}" for name in ("accuracy", "false_release", "coverage")
    )
    return f"{measured['labelled']} labelled tickets: {', '.join(numbers)}"


def _agreement(tickets: Sequence[Selected]) -> dict[str, object]:
    known = [one for one in tickets if one.label is not None]
    failed = [one for one in known if one.label is Verdict.FAIL]
    passed = [one for one in known if one.label is Verdict.PASS]
    given = [one for one in known if not one.needs_review]
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


def _planted(tickets: Sequence[Selected]) -> dict[str, object] | None:
    """How the label-noise candidates compare with the noise that was planted, where the true labels are known."""
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


def _said(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else "-"
