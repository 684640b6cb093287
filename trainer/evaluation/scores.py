"""Metrics over many photos as pure functions: region F1, attribute accuracy, Stage-A facts.

F1 at a threshold is computed over all photos: 2 · TP / (labelled + answered), where TP counts pairs with at least that
IoU. ``f1_box`` and ``f1_line`` are means over the thresholds 0.50, 0.55, … 0.95.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from trainer.evaluation.matching import Matching, attributes, category
from vqc.caption import CaptionObject
from vqc.summary import Summary

THRESHOLDS = tuple(round(0.5 + 0.05 * n, 2) for n in range(10))


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionScore:
    """The score of one kind or category: ``f1_50`` at IoU 0.5, ``f1`` the mean over thresholds; None without objects."""

    labelled: int
    answered: int
    f1_50: float | None
    f1: float | None


def region_score(matchings: Iterable[Matching], wanted: Callable[[CaptionObject], bool]) -> RegionScore:
    """The score of the objects that ``wanted`` selects."""
    labelled = answered = 0
    ious: list[float] = []
    for matching in matchings:
        labelled += sum(map(wanted, matching.labelled))
        answered += sum(map(wanted, matching.answered))
        ious += [iou for i, _, iou in matching.pairs if wanted(matching.labelled[i])]
    total = labelled + answered
    curve = [2 * sum(iou >= threshold for iou in ious) / total for threshold in THRESHOLDS] if total else None
    return RegionScore(
        labelled=labelled,
        answered=answered,
        f1_50=curve[0] if curve else None,
        f1=sum(curve) / len(curve) if curve else None,
    )


def by_category(matchings: Sequence[Matching]) -> dict[str, RegionScore]:
    """The score of each category that is labelled or answered, the most labelled first."""
    counts: Counter[str] = Counter()
    for matching in matchings:
        counts.update(category(item.desc) for item in matching.labelled)
        counts.update({category(item.desc): 0 for item in matching.answered})
    return {
        name: region_score(matchings, lambda item, name=name: category(item.desc) == name)
        for name, _ in counts.most_common()
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class AttributeScore:
    """Over pairs with IoU 0.5 or more: ``recall`` is the share of labelled values answered, ``exact`` of equal descs."""

    pairs: int
    recall: float | None
    exact: float | None


def attribute_score(matchings: Iterable[Matching]) -> AttributeScore:
    """How well descriptions agree where regions do."""
    pairs = values = found = exact = 0
    for matching in matchings:
        for i, j, iou in matching.pairs:
            if iou < THRESHOLDS[0]:
                continue
            label, answer = matching.labelled[i].desc, matching.answered[j].desc
            wanted = Counter(attributes(label))
            pairs += 1
            values += wanted.total()
            found += (wanted & Counter(attributes(answer))).total()
            exact += label == answer
    return AttributeScore(
        pairs=pairs, recall=found / values if values else None, exact=exact / pairs if pairs else None
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class FactScore:
    """Stage-A facts, micro-averaged over photos. A fact is an item with its count; an irrelevant photo is one fact.

    For ``recall`` and ``precision`` item and count must be equal; ``count_recall`` gives partial credit for counts.
    """

    recall: float | None
    precision: float | None
    count_recall: float | None


def fact_score(lines: Iterable[tuple[Summary, Summary | None]]) -> FactScore:
    """The score of (labelled, answered) lines; an unreadable answer is None and has no facts."""
    hits = wanted = answered = counted = objects = 0
    for label, answer in lines:
        truth, found = facts(label), facts(answer) if answer is not None else {}
        wanted += len(truth)
        answered += len(found)
        hits += sum(found.get(item) == count for item, count in truth.items())
        objects += sum(truth.values())
        counted += sum(min(count, found.get(item, 0)) for item, count in truth.items())
    return FactScore(
        recall=hits / wanted if wanted else None,
        precision=hits / answered if answered else None,
        count_recall=counted / objects if objects else None,
    )


def facts(summary: Summary) -> dict[str, int]:
    """Item → count; a line without items is one fact, that the photo is irrelevant.

    >>> facts(Summary(items=(("光模块", 2), ("光模块", 1))))
    {'光模块': 3}
    """
    counts: Counter[str] = Counter()
    for item, count in summary.items:
        counts[item] += count
    return dict(counts) or {"": 1}
