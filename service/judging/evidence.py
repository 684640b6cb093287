"""What a ticket's Stage-A lines say about each key item of its mission, and how far they can be relied on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from service.platform.mission_words import complaints, polarities, subject
from vqc import summary
from vqc.missions import KeyItem, Mission
from vqc.verdict import Verdict

PARTIAL = ("只显示部分", "无法判断", "无法识别", "看不清", "模糊")
"""Says in a description that the thing cannot be fully seen."""


class Polarity(StrEnum):
    """What the summaries show of one key item."""

    MET = "met"
    VIOLATED = "violated"
    BOTH = "both"
    MISSING = "missing"
    PARTLY_VISIBLE = "partly_visible"


class SummaryConfidence(StrEnum):
    """How far the summaries of a ticket can be relied on."""

    HIGH = "high"
    LOW = "low"
    NEEDS_REVIEW = "needs_review"


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemEvidence:
    """One key item and what the summaries show of it."""

    name: str
    required: bool
    polarity: Polarity


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """A ticket's key items in the mission's order. ``relevant`` is False when no photo shows anything."""

    items: tuple[ItemEvidence, ...]
    relevant: bool

    @property
    def confidence(self) -> SummaryConfidence:
        """The design's ``summary_confidence``; an item that is not required lowers it only by contradicting itself."""
        if not self.relevant or any(item.polarity is Polarity.BOTH for item in self.items):
            return SummaryConfidence.NEEDS_REVIEW
        unseen = (Polarity.MISSING, Polarity.PARTLY_VISIBLE)
        if any(item.required and item.polarity in unseen for item in self.items):
            return SummaryConfidence.LOW
        return SummaryConfidence.HIGH

    @property
    def verdict(self) -> Verdict | None:
        """The verdict that the summaries alone support: 不通过 with an item plainly violated, 通过 with all required met."""
        if any(item.polarity is Polarity.VIOLATED for item in self.items):
            return Verdict.FAIL
        met = all(item.polarity is Polarity.MET for item in self.items if item.required)
        contradicted = any(item.polarity is Polarity.BOTH for item in self.items)
        return Verdict.PASS if met and not contradicted else None

    @property
    def lacking(self) -> frozenset[str]:
        """The names of the items that the summaries show violated (if only somewhere) or do not show."""
        lacking = (Polarity.VIOLATED, Polarity.BOTH, Polarity.MISSING)
        return frozenset(item.name for item in self.items if item.polarity in lacking)


def evidence(mission: Mission, summaries: Sequence[str]) -> Evidence:
    """What the Stage-A lines of a ticket's photos show; a line that cannot be read counts as empty.

    Within one description a violation outweighs what else is met. A note can violate an item, never meet it.

    >>> from vqc.missions import mission_named
    >>> mission = mission_named("挡风板安装检查")
    >>> found = evidence(mission, ["BBU设备/华为,显示完整,无需安装×1"])
    >>> [str(item.polarity) for item in found.items], found.verdict
    (['met', 'met'], <Verdict.PASS: '通过'>)
    >>> found = evidence(mission, ["BBU设备/华为,显示完整×1", "挡风板/华为,显示完整,安装方向错误×1"])
    >>> [str(item.polarity) for item in found.items], str(found.confidence)
    (['met', 'violated'], 'high')
    """
    read = [outcome.summary for outcome in map(summary.parse, summaries) if outcome.summary is not None]
    descs = [desc for photo in read for desc, _ in photo.items]
    noted = frozenset[str]().union(*(complaints(mission, photo.note) for photo in read if photo.note))
    items = tuple(
        ItemEvidence(
            name=item.name, required=item.required, polarity=_polarity(mission, item, descs, item.name in noted)
        )
        for item in mission.key_items
    )
    return Evidence(items=items, relevant=bool(descs))


def _polarity(mission: Mission, item: KeyItem, descs: Sequence[str], noted: bool) -> Polarity:
    said = {_said(item, subject(mission, desc), desc) for desc in descs} - {None}
    violated = noted or Polarity.VIOLATED in said
    if violated:
        return Polarity.BOTH if Polarity.MET in said else Polarity.VIOLATED
    if not said:
        return Polarity.MISSING
    return Polarity.MET if Polarity.MET in said else Polarity.PARTLY_VISIBLE


def _said(item: KeyItem, about: str | None, desc: str) -> Polarity | None:
    """What one description says of the item: met, violated, seen without telling, or nothing."""
    own = about in item.words
    if not own and about not in item.seen_on:
        return None
    tokens = polarities(item, desc)
    if False in tokens:
        return Polarity.VIOLATED
    if not own:
        return Polarity.MET if tokens else None
    told = bool(tokens) or not item.positive
    return Polarity.MET if told and not any(word in desc for word in PARTIAL) else Polarity.PARTLY_VISIBLE
