"""The fixed words of an inspection's answers: pass and fail, the reason's prefix, the irrelevant photo, separators."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BaseModel, Field, StringConstraints, model_validator

Language = Literal["zh", "en"]
FixedWord = Annotated[
    str,
    StringConstraints(
        min_length=1, max_length=32, pattern=r"^[^\x00-\x20\x7f-\x9f\"\\]+(?: [^\x00-\x20\x7f-\x9f\"\\]+)*$"
    ),
]
"""Words with single spaces; no quotation mark and no backslash, which grammars would have to escape."""

COUNT = "×"
"""Between an item of a line and its number."""


class AnswerWords(BaseModel, frozen=True, extra="forbid"):
    """The words that answers are made of, besides what they describe.

    ``passed`` and ``failed``: the first one is written, the others are accepted too. ``reason`` and ``note`` are the words
    before a verdict's reason and a line's note. ``separator`` stands between the items of a line: a punctuation mark, and a
    space if items contain spaces.
    """

    passed: tuple[FixedWord, ...] = Field(min_length=1)
    failed: tuple[FixedWord, ...] = Field(min_length=1)
    reason: FixedWord
    irrelevant: FixedWord
    note: FixedWord
    separator: Annotated[str, StringConstraints(pattern=r"^[，,;；、|] ?$")]

    @model_validator(mode="after")
    def _can_be_told_apart(self) -> AnswerWords:
        if both := {*map(spelling, self.passed)} & {*map(spelling, self.failed)}:
            raise ValueError(f"a word means pass or fail, not both: {', '.join(sorted(both))}")
        if any(mark in self.irrelevant for mark in (self.mark, COUNT)):
            raise ValueError(f"the line of an irrelevant photo must not contain {self.mark!r} or {COUNT!r}")
        return self

    @property
    def items_have_spaces(self) -> bool:
        """Whether items contain spaces between words."""
        return self.separator.endswith(" ")

    @property
    def mark(self) -> str:
        """The separator without its space."""
        return self.separator.strip()

    @property
    def reason_prefix(self) -> str:
        """What the second line of a verdict begins with."""
        return f"{self.reason}: "

    @property
    def note_prefix(self) -> str:
        """What stands between the items of a line and its note."""
        return f"{self.separator}{self.note}: "

    @property
    def item_class(self) -> str:
        """A character of an item, as a class of a regular expression: no controls, no space, no separator, no count sign."""
        return rf"[^\x00-\x20{re.escape(self.mark)}{COUNT}\x7f-\x9f]"


def spelling(word: str) -> str:
    """A verdict word without spaces, trailing stops and capitals.

    >>> spelling("不 通过。"), spelling("No Pass.")
    ('不通过', 'nopass')
    """
    return "".join(word.split()).rstrip("。.").lower()


WORDS: dict[Language, AnswerWords] = {
    "zh": AnswerWords(
        passed=("通过", "pass"),
        failed=("不通过", "未通过", "fail"),
        reason="理由",
        irrelevant="无关图片",
        note="备注",
        separator="，",
    ),
    "en": AnswerWords(
        passed=("PASS", "passed"),
        failed=("FAIL", "failed"),
        reason="Reason",
        irrelevant="irrelevant photo",
        note="Note",
        separator="; ",
    ),
}
"""The words of inspections that name none of their own."""

CHINESE = WORDS["zh"]
