"""One mission of an inspection: its exact name, its focus, and the words that decide whether it is met.

Owns the definition; ``vqc.inspection`` reads it from a file and ``service.judging`` matches the words.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from vqc.answer_words import AnswerWords, Language
from vqc.prompt_texts import PromptTexts

Word = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^\S+(?: \S+)*$")]
"""A name or token, matched literally; single spaces between its words."""

MissionName = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f/\\]+$")]
"""The exact string that tickets, folders and metrics carry; no line break, slash or backslash."""


class KeyItem(BaseModel):
    """Something that a ticket of the mission must show, and the words that describe its state.

    An item without tokens is met if it is seen. ``seen_on`` lists other objects whose descriptions also mention the item, as
    a BBU's says whether it needs a wind shield; there only the tokens count.

    >>> KeyItem(name="电线", positive=("捆扎整齐",), negative=("分布散乱",)).words
    ('电线',)
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Word
    synonyms: tuple[Word, ...] = ()
    positive: tuple[Word, ...] = ()
    negative: tuple[Word, ...] = ()
    required: bool = True
    seen_on: tuple[Word, ...] = ()

    @property
    def words(self) -> tuple[str, ...]:
        """All names of the item."""
        return (self.name, *self.synonyms)

    @model_validator(mode="after")
    def _one_meaning_per_token(self) -> KeyItem:
        if both := set(self.positive) & set(self.negative):
            raise ValueError(f"a token is positive or negative, not both: {', '.join(sorted(both))}")
        return self


class MissionDefinition(BaseModel):
    """One check, as in ``missions.yaml``. ``focus`` is part of the prompts; ``requirement`` says what a passing ticket shows.

    Tickets are judged by ``key_items``. A verdict that fewer than ``vote_threshold`` of the ticket's parsed rollouts share is
    reviewed. ``domain`` groups missions in lists and reports.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: MissionName
    domain: Word
    focus: str
    requirement: str
    key_items: tuple[KeyItem, ...]
    vote_threshold: float = Field(default=0.6, ge=0, le=1)

    @model_validator(mode="after")
    def _distinct_words(self) -> MissionDefinition:
        words = [word for item in self.key_items for word in item.words]
        if twice := {word for word in words if words.count(word) > 1}:
            raise ValueError(f"a word names one key item only, once: {', '.join(sorted(twice))}")
        if not any(item.required for item in self.key_items):
            raise ValueError("at least one key item must be required")
        return self


class Mission(MissionDefinition):
    """A mission with what its inspection says about all of them: prompt texts, the words of answers, the language."""

    prompts: PromptTexts = Field(exclude=True, repr=False)
    words: AnswerWords = Field(exclude=True, repr=False)
    language: Language = Field(exclude=True, repr=False)
