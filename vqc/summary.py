"""The Stage-A line: the counted objects of one photo, on one line.

    BBU设备×1，光模块×3，线缆×2
    BBU设备/华为,显示完整×1，备注: 左侧遮挡
    无关图片

Owns the value, its text form and the total parser that reads it.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

from vqc.caption import DenseCaption, is_utf8
from vqc.errors import InvalidValue
from vqc.parser import Status

IRRELEVANT = "无关图片"
"""The whole line of a photo without any part of the installation."""

MAX_ITEMS = 32
MAX_COUNT_DIGITS = 2
ITEM_LENGTH = 96
NOTE_LENGTH = 120
NOTE_PREFIX = "，备注: "
ITEM_CLASS = r"[^\x00-\x20，×\x7f-\x9f]"
"""A character of an item: no controls, no spaces, neither the separator nor the count sign."""
NOTE_CLASS = r"[^\x00-\x20\x7f-\x9f]"
"""A character of a note; a single space is allowed between two."""

_ITEM = re.compile(f"({ITEM_CLASS}{{1,{ITEM_LENGTH}}})×([1-9][0-9]{{0,{MAX_COUNT_DIGITS - 1}}})")
_NOTE = re.compile(f"(?=.{{1,{NOTE_LENGTH}}}$){NOTE_CLASS}(?: ?{NOTE_CLASS})*")
_LOOSE_ITEM = re.compile(r"(.+?)\s*(?:[×xX*✕]\s*([1-9]\d?))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The objects of one photo: (description, count) in reading order, and a free note. No items means irrelevant.

    Raises:
        InvalidValue: an item or note that the line cannot represent, or a note without items.
    """

    items: tuple[tuple[str, int], ...] = ()
    note: str | None = None

    def __post_init__(self) -> None:
        if len(self.items) > MAX_ITEMS:
            raise InvalidValue("items", len(self.items), f"a summary line holds at most {MAX_ITEMS} items")
        for text, count in self.items:
            if not _ITEM.fullmatch(f"{text}×{count}") or not is_utf8(text):
                raise InvalidValue(
                    "item",
                    (text, count),
                    f"must be 1 to {ITEM_LENGTH} characters without spaces, '，' and '×', counted 1 to 99",
                )
        if self.note is not None and not (self.items and _NOTE.fullmatch(self.note) and is_utf8(self.note)):
            raise InvalidValue("note", self.note, f"must be 1 to {NOTE_LENGTH} characters on one line, after an item")


@dataclass(frozen=True, slots=True, kw_only=True)
class SummaryOutcome:
    """The parsed summary, None exactly if the status is ``MALFORMED``; ``notes`` list the repairs."""

    status: Status
    summary: Summary | None
    notes: tuple[str, ...] = ()


def render(summary: Summary) -> str:
    """The line as the model writes it.

    >>> render(Summary(items=(("BBU设备", 1), ("光模块", 3))))
    'BBU设备×1，光模块×3'
    >>> render(Summary())
    '无关图片'
    """
    if not summary.items:
        return IRRELEVANT
    line = "，".join(f"{text}×{count}" for text, count in summary.items)
    return line if summary.note is None else f"{line}{NOTE_PREFIX}{summary.note}"


def parse(text: str) -> SummaryOutcome:
    """The outcome of one answer; total.

    >>> parse("BBU设备×1，备注: 左侧遮挡").summary
    Summary(items=(('BBU设备', 1),), note='左侧遮挡')
    >>> parse("BBU设备 x2, 光纤").status
    <Status.REPAIRED: 'repaired'>
    >>> parse("").status
    <Status.MALFORMED: 'malformed'>
    """
    if text == IRRELEVANT:
        return SummaryOutcome(status=Status.PARSED, summary=Summary())
    strict = _strict(text)
    if strict is not None:
        return SummaryOutcome(status=Status.PARSED, summary=strict)
    return _loose(text)


def summarise(caption: DenseCaption) -> Summary:
    """The summary of a caption: equal descriptions merged and counted, in reading order of their first occurrence.

    >>> from vqc.caption import CaptionObject
    >>> from vqc.geometry import Kind, Shape
    >>> screw = [CaptionObject(shape=Shape(Kind.BBOX, (x, 0, x + 9, 9)), desc="螺丝") for x in (0, 50)]
    >>> render(summarise(DenseCaption(tuple(screw))))
    '螺丝×2'
    """
    counts = Counter(item.desc.replace(" ", "") for item in caption.objects)
    return Summary(items=tuple(counts.items()))


def _strict(text: str) -> Summary | None:
    line, _, note = text.partition(NOTE_PREFIX)
    items = [_ITEM.fullmatch(part) for part in line.split("，")]
    if not all(items):
        return None
    try:
        summary = Summary(
            items=tuple((match[1], int(match[2])) for match in items if match),
            note=note if NOTE_PREFIX in text else None,
        )
    except InvalidValue:
        return None
    return summary


def _loose(text: str) -> SummaryOutcome:
    """Repairs spaces, ASCII commas and count signs, missing counts, and extra lines."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        return SummaryOutcome(status=Status.MALFORMED, summary=None, notes=("the answer is empty",))
    notes = ["only the first line was read"] if len(lines) > 1 else []
    if lines[0].rstrip("。.") == IRRELEVANT:
        return SummaryOutcome(status=Status.REPAIRED, summary=Summary(), notes=(*notes, "trailing text removed"))
    line, _, note = re.sub(r"[，,]\s*备注[:：]\s*", NOTE_PREFIX, lines[0], count=1).partition(NOTE_PREFIX)
    items: list[tuple[str, int]] = []
    for part in re.split(r"，|,\s+", line):
        match = _LOOSE_ITEM.fullmatch("".join(part.split()).rstrip("。"))
        if match is None or len(items) == MAX_ITEMS:
            notes.append(f"dropped: {part[:40]!r}")
            continue
        item = (re.sub(f"(?!{ITEM_CLASS}).", "", match[1])[:ITEM_LENGTH], int(match[2] or 1))
        if item[0] and is_utf8(item[0]) and item[0] != IRRELEVANT:
            items.append(item)
    if not items:
        return SummaryOutcome(status=Status.MALFORMED, summary=None, notes=(*notes, "no item in the answer"))
    note = re.sub(f"(?!{NOTE_CLASS}| ).", "", " ".join(note.split()))[:NOTE_LENGTH].strip()
    return SummaryOutcome(
        status=Status.REPAIRED,
        summary=Summary(items=tuple(items), note=note if note and is_utf8(note) else None),
        notes=tuple(notes or ["spelling differs from the canonical form"]),
    )
