"""The Stage-A line: the counted objects of one photo, on one line, in an inspection's words.

    BBU设备×1，光模块×3，线缆×2
    BBU设备/华为,显示完整×1，备注: 左侧遮挡
    无关图片
    meter box/door closed×1; seal/present×2; Note: the left side is hidden

Owns the value, its text form and the total parser that reads it.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import cache

from vqc.answer_words import CHINESE, COUNT, AnswerWords
from vqc.caption import DenseCaption, is_utf8
from vqc.errors import InvalidValue
from vqc.parser import Status

MAX_ITEMS = 32
MAX_COUNT_DIGITS = 2
ITEM_LENGTH = 96
NOTE_LENGTH = 120
NOTE_CLASS = r"[^\x00-\x20\x7f-\x9f]"
"""A character of a note; a single space is allowed between two."""

_DESCRIPTION = re.compile(rf"[^\x00-\x20{COUNT}\x7f-\x9f]+(?: [^\x00-\x20{COUNT}\x7f-\x9f]+)*")
_NOTE = re.compile(f"(?=.{{1,{NOTE_LENGTH}}}$){NOTE_CLASS}(?: ?{NOTE_CLASS})*")
_LOOSE_ITEM = re.compile(r"(.+?)\s*(?:[×xX*✕]\s*([1-9]\d?))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The objects of one photo: (description, count) in reading order, and a free note. No items means irrelevant.

    Raises:
        InvalidValue: an item or note that no line can represent, or a note without items.
    """

    items: tuple[tuple[str, int], ...] = ()
    note: str | None = None

    def __post_init__(self) -> None:
        if len(self.items) > MAX_ITEMS:
            raise InvalidValue("items", len(self.items), f"a summary line holds at most {MAX_ITEMS} items")
        for text, count in self.items:
            if not (len(text) <= ITEM_LENGTH and _DESCRIPTION.fullmatch(text) and is_utf8(text) and 1 <= count <= 99):
                raise InvalidValue(
                    "item",
                    (text, count),
                    f"must be 1 to {ITEM_LENGTH} characters without '×', with single spaces, counted 1 to 99",
                )
        if self.note is not None and not (self.items and _NOTE.fullmatch(self.note) and is_utf8(self.note)):
            raise InvalidValue("note", self.note, f"must be 1 to {NOTE_LENGTH} characters on one line, after an item")


@dataclass(frozen=True, slots=True, kw_only=True)
class SummaryOutcome:
    """The parsed summary, None exactly if the status is ``MALFORMED``; ``notes`` list the repairs."""

    status: Status
    summary: Summary | None
    notes: tuple[str, ...] = ()


def render(summary: Summary, words: AnswerWords = CHINESE) -> str:
    """The line as the model writes it.

    >>> render(Summary(items=(("BBU设备", 1), ("光模块", 3))))
    'BBU设备×1，光模块×3'
    >>> from vqc.answer_words import WORDS
    >>> render(Summary()), render(Summary(), WORDS["en"])
    ('无关图片', 'irrelevant photo')

    Raises:
        InvalidValue: an item that these words cannot represent: it contains the separator, or a space.
    """
    if not summary.items:
        return words.irrelevant
    for text, _ in summary.items:
        if not _item_pattern(words).fullmatch(f"{text}{COUNT}1"):
            spaces = "" if words.items_have_spaces else " and without spaces"
            raise InvalidValue("item", text, f"must be written without {words.mark!r}{spaces}")
    line = words.separator.join(f"{text}{COUNT}{count}" for text, count in summary.items)
    return line if summary.note is None else f"{line}{words.note_prefix}{summary.note}"


def parse(text: str, words: AnswerWords = CHINESE) -> SummaryOutcome:
    """The outcome of one answer; total.

    >>> parse("BBU设备×1，备注: 左侧遮挡").summary
    Summary(items=(('BBU设备', 1),), note='左侧遮挡')
    >>> parse("BBU设备 x2, 光纤").status
    <Status.REPAIRED: 'repaired'>
    >>> parse("").status
    <Status.MALFORMED: 'malformed'>
    """
    if text == words.irrelevant:
        return SummaryOutcome(status=Status.PARSED, summary=Summary())
    strict = _strict(text, words)
    if strict is not None:
        return SummaryOutcome(status=Status.PARSED, summary=strict)
    return _loose(text, words)


def summarise(caption: DenseCaption, words: AnswerWords = CHINESE) -> Summary:
    """The summary of a caption: equal descriptions merged and counted, in reading order of their first occurrence.

    >>> from vqc.caption import CaptionObject
    >>> from vqc.geometry import Kind, Shape
    >>> screw = [CaptionObject(shape=Shape(Kind.BBOX, (x, 0, x + 9, 9)), desc="螺丝") for x in (0, 50)]
    >>> render(summarise(DenseCaption(tuple(screw))))
    '螺丝×2'
    """
    counts = Counter(item.desc if words.items_have_spaces else item.desc.replace(" ", "") for item in caption.objects)
    return Summary(items=tuple(counts.items()))


@cache
def _item_pattern(words: AnswerWords) -> re.Pattern[str]:
    """An item with its count."""
    space = " ?" if words.items_have_spaces else ""
    text = f"(?=[^{COUNT}]{{1,{ITEM_LENGTH}}}{COUNT})({words.item_class}(?:{space}{words.item_class})*)"
    return re.compile(f"{text}{COUNT}([1-9][0-9]{{0,{MAX_COUNT_DIGITS - 1}}})")


def _strict(text: str, words: AnswerWords) -> Summary | None:
    line, _, note = text.partition(words.note_prefix)
    items = [_item_pattern(words).fullmatch(part) for part in line.split(words.separator)]
    if not all(items):
        return None
    try:
        summary = Summary(
            items=tuple((match[1], int(match[2])) for match in items if match),
            note=note if words.note_prefix in text else None,
        )
    except InvalidValue:
        return None
    return summary


def _loose(text: str, words: AnswerWords) -> SummaryOutcome:
    """Repairs spaces, ASCII commas and count signs, missing counts, and extra lines."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        return SummaryOutcome(status=Status.MALFORMED, summary=None, notes=("the answer is empty",))
    notes = ["only the first line was read"] if len(lines) > 1 else []
    if lines[0].rstrip("。.") == words.irrelevant:
        return SummaryOutcome(status=Status.REPAIRED, summary=Summary(), notes=(*notes, "trailing text removed"))
    between, label = f"[{re.escape(words.mark)},]", re.escape(words.note)
    marked = re.sub(rf"{between}\s*{label}[:：]\s*", words.note_prefix, lines[0], count=1, flags=re.IGNORECASE)
    line, _, note = marked.partition(words.note_prefix)
    items: list[tuple[str, int]] = []
    for part in re.split(rf"{re.escape(words.mark)}|,\s+", line):
        joined = (" " if words.items_have_spaces else "").join(part.split())
        match = _LOOSE_ITEM.fullmatch(joined.rstrip("。"))
        if match is None or len(items) == MAX_ITEMS:
            notes.append(f"dropped: {part[:40]!r}")
            continue
        item = (_writable(match[1], words)[:ITEM_LENGTH].rstrip(), int(match[2] or 1))
        if item[0] and is_utf8(item[0]) and item[0] != words.irrelevant:
            items.append(item)
    if not items:
        return SummaryOutcome(status=Status.MALFORMED, summary=None, notes=(*notes, "no item in the answer"))
    note = re.sub(f"(?!{NOTE_CLASS}| ).", "", " ".join(note.split()))[:NOTE_LENGTH].strip()
    return SummaryOutcome(
        status=Status.REPAIRED,
        summary=Summary(items=tuple(items), note=note if note and is_utf8(note) else None),
        notes=tuple(notes or ["spelling differs from the canonical form"]),
    )


def _writable(text: str, words: AnswerWords) -> str:
    """The text without the characters that an item cannot have."""
    kept = re.sub(f"(?!{words.item_class}{'| ' if words.items_have_spaces else ''}).", "", text)
    return " ".join(kept.split())
