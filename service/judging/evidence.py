"""Reads what a ticket's Stage-A lines say about each key item of its mission, and how reliable they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from service.platform.judging_words import JUDGING_WORDS
from service.platform.mission_words import complaints, polarities, subject
from vqc import summary
from vqc.missions import KeyItem, Mission
from vqc.verdict import Verdict


class Polarity(StrEnum):
    """What the lines show of one key item."""

    MET = "met"
    VIOLATED = "violated"
    BOTH = "both"
    MISSING = "missing"
    PARTLY_VISIBLE = "partly_visible"


class SummaryConfidence(StrEnum):
    """How reliable the lines of a ticket are."""

    HIGH = "high"
    LOW = "low"
    NEEDS_REVIEW = "needs_review"


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemEvidence:
    """One key item and what the lines show of it."""

    name: str
    required: bool
    polarity: Polarity


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """A ticket's key items in the mission's order. ``relevant`` is False when no line describes an object."""

    items: tuple[ItemEvidence, ...]
    relevant: bool

    @property
    def confidence(self) -> SummaryConfidence:
        """The ``summary_confidence`` of the records. An optional item lowers it only by a contradiction."""
        if not self.relevant or any(item.polarity is Polarity.BOTH for item in self.items):
            return SummaryConfidence.NEEDS_REVIEW
        unseen = (Polarity.MISSING, Polarity.PARTLY_VISIBLE)
        if any(item.required and item.polarity in unseen for item in self.items):
            return SummaryConfidence.LOW
        return SummaryConfidence.HIGH

    @property
    def verdict(self) -> Verdict | None:
        """The verdict that the lines alone support, if any.

        不通过: an item is violated and nowhere met. 通过: every required item is met and none is contradicted.
        """
        if any(item.polarity is Polarity.VIOLATED for item in self.items):
            return Verdict.FAIL
        met = all(item.polarity is Polarity.MET for item in self.items if item.required)
        contradicted = any(item.polarity is Polarity.BOTH for item in self.items)
        return Verdict.PASS if met and not contradicted else None

    @property
    def missing(self) -> tuple[str, ...]:
        """The names of the required items that no line shows."""
        return tuple(item.name for item in self.items if item.required and item.polarity is Polarity.MISSING)

    @property
    def lacking(self) -> frozenset[str]:
        """The names of the items that some line shows violated, or that no line shows."""
        lacking = (Polarity.VIOLATED, Polarity.BOTH, Polarity.MISSING)
        return frozenset(item.name for item in self.items if item.polarity in lacking)


def evidence(mission: Mission, summaries: Sequence[str]) -> Evidence:
    """What the Stage-A lines of a ticket's photos show; a line that does not parse counts as empty.

    >>> from vqc.missions import mission_named
    >>> mission = mission_named("挡风板安装检查")
    >>> found = evidence(mission, ["BBU设备/华为,显示完整,无需安装×1"])
    >>> [str(item.polarity) for item in found.items], found.verdict
    (['met', 'met'], <Verdict.PASS: '通过'>)
    >>> found = evidence(mission, ["BBU设备/华为,显示完整×1", "挡风板/华为,显示完整,安装方向错误×1"])
    >>> [str(item.polarity) for item in found.items], str(found.confidence)
    (['met', 'violated'], 'high')
    """
    outcomes = [summary.parse(line, mission.words) for line in summaries]
    read = [outcome.summary for outcome in outcomes if outcome.summary is not None]
    descs = [desc for photo in read for desc, _ in photo.items]
    # A note is free text about the whole photo: it can violate an item but never meet it.
    noted = frozenset[str]().union(*(complaints(mission, photo.note) for photo in read if photo.note))
    items = tuple(
        ItemEvidence(
            name=item.name, required=item.required, polarity=_polarity(mission, item, descs, item.name in noted)
        )
        for item in mission.key_items
    )
    return Evidence(items=items, relevant=bool(descs))


def _polarity(mission: Mission, item: KeyItem, descs: Sequence[str], noted: bool) -> Polarity:
    shown = {_description_polarity(mission, item, subject(mission, desc), desc) for desc in descs} - {None}
    if noted or Polarity.VIOLATED in shown:
        return Polarity.BOTH if Polarity.MET in shown else Polarity.VIOLATED
    if not shown:
        return Polarity.MISSING
    # One clear photo is enough: the same item is often cut off at the edge of another.
    return Polarity.MET if Polarity.MET in shown else Polarity.PARTLY_VISIBLE


def _description_polarity(mission: Mission, item: KeyItem, described: str | None, desc: str) -> Polarity | None:
    """What one description shows of the item: met, violated, visible without a clear state, or nothing.

    ``described`` is the word for the object that the description is about.
    """
    is_item = described in item.words
    if not is_item and described not in item.seen_on:
        return None
    tokens = polarities(item, desc, language=mission.language)
    # Within one description a violation outweighs everything else: 显示完整,安装方向错误 is one faulty part.
    if False in tokens:
        return Polarity.VIOLATED
    if not is_item:
        # Another object, such as the cabinet that says 无需安装, can meet the item only in explicit words.
        return Polarity.MET if tokens else None
    # An item that has good words must show one of them; for one without, being fully visible is all there is to meet.
    state_is_clear = bool(tokens) or not item.positive
    partial = any(word in desc.lower() for word in JUDGING_WORDS[mission.language].partial)
    return Polarity.MET if state_is_clear and not partial else Polarity.PARTLY_VISIBLE
