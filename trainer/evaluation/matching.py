"""Matches answered objects with labelled ones: greedily by overlap, within a category."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from trainer.evaluation.overlap import overlap
from vqc.caption import CaptionObject
from vqc.geometry import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Matching:
    """``pairs`` are (index of the labelled object, index of the answered object, IoU), best overlap first."""

    labelled: tuple[CaptionObject, ...]
    answered: tuple[CaptionObject, ...]
    pairs: tuple[tuple[int, int, float], ...]


def category(desc: str) -> str:
    """The first level of a description.

    >>> category("BBU设备/华为,显示完整")
    'BBU设备'
    """
    return desc.partition("/")[0]


def attributes(desc: str) -> tuple[str, ...]:
    """All values after the first level of a description.

    >>> attributes("BBU设备/华为,显示完整/有挡风板")
    ('华为', '显示完整', '有挡风板')
    """
    return tuple(part for part in re.split(r"[/,]", desc)[1:] if part)


def is_line(item: CaptionObject) -> bool:
    """Whether an object is scored as a line; boxes and quads are scored together."""
    return item.shape.kind is Kind.LINE


def match_objects(labelled: Sequence[CaptionObject], answered: Sequence[CaptionObject]) -> Matching:
    """Pairs the objects of one photo. Each is in at most one pair; categories must be equal, and lines match only lines."""
    candidates = sorted(
        (
            (overlap(label.shape, answer.shape), i, j)
            for i, label in enumerate(labelled)
            for j, answer in enumerate(answered)
            if category(label.desc) == category(answer.desc) and is_line(label) == is_line(answer)
        ),
        key=lambda item: (-item[0], item[1], item[2]),
    )
    pairs: list[tuple[int, int, float]] = []
    used_labels: set[int] = set()
    used_answers: set[int] = set()
    for iou, i, j in candidates:
        if iou > 0 and i not in used_labels and j not in used_answers:
            pairs.append((i, j, iou))
            used_labels.add(i)
            used_answers.add(j)
    return Matching(labelled=tuple(labelled), answered=tuple(answered), pairs=tuple(pairs))
