"""Labels under augmentation: they are moved, cut, dropped, and reworded where an object is no longer fully visible."""

from __future__ import annotations

from dataclasses import dataclass, replace

from trainer.geometry import Affine, Window, clip_shape, move_shape
from vqc.caption import CaptionObject
from vqc.geometry import Shape

COMPLETE = "显示完整"
PARTIAL = "只显示部分"
NOTE = "备注"
MIN_VISIBLE = 0.1
"""Smallest visible share of an object that is kept on the canvas (crops have their own threshold)."""
COMPLETENESS_THRESHOLD = 0.95
"""Smallest visible share at which a cut object still counts as complete."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """An object of the record: its position there (``index``), its current shape and the share still visible."""

    index: int
    shape: Shape
    desc: str
    coverage: float = 1.0

    def as_object(self) -> CaptionObject:
        """The label as a caption's object, in px."""
        return CaptionObject(shape=self.shape, desc=self.desc)


def move_labels(labels: tuple[Label, ...], matrix: Affine) -> tuple[Label, ...]:
    """Every label after the map, unclipped."""
    return tuple(replace(label, shape=move_shape(label.shape, matrix)) for label in labels)


def cut_labels(
    labels: tuple[Label, ...],
    window: Window,
    min_coverage: float = MIN_VISIBLE,
    completeness_threshold: float = COMPLETENESS_THRESHOLD,
) -> tuple[Label, ...]:
    """The labels of which at least ``min_coverage`` is inside the window, cut to it.

    Coverage multiplies up over several cuts; the wording follows it.
    """
    kept = []
    for label in labels:
        inside = clip_shape(label.shape, window)
        if inside is None or inside.coverage < min_coverage:
            continue
        coverage = label.coverage * inside.coverage
        desc = incomplete(label.desc) if coverage < completeness_threshold else label.desc
        kept.append(replace(label, shape=inside.shape, coverage=coverage, desc=desc))
    return tuple(kept)


def incomplete(desc: str) -> str:
    """The description of an object that is only partly visible: its completeness attribute becomes 只显示部分.

    Only an attribute that is exactly 显示完整 changes. A remark (备注 and everything after it) stays as it is.

    >>> incomplete("BBU设备/华为,显示完整/备注:显示完整")
    'BBU设备/华为,只显示部分/备注:显示完整'
    >>> incomplete("标签/5G")
    '标签/5G'
    """
    levels = desc.split("/")
    for n, level in enumerate(levels):
        values = level.split(",")
        for m, value in enumerate(values):
            if value.startswith(NOTE):
                levels[n] = ",".join(values)
                return "/".join(levels)
            if value == COMPLETE:
                values[m] = PARTIAL
        levels[n] = ",".join(values)
    return "/".join(levels)
