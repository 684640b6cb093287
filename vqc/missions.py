"""The missions: their exact names, their focus, and the words that decide whether they are met.

Owns the definitions and their parsing; ``service.judging`` matches the words.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError, model_validator

from vqc.errors import InvalidValue, UnknownMission

Word = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^\S+$")]
"""A name or token without spaces, matched literally."""


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


class Mission(BaseModel):
    """One check. ``focus`` is part of the prompts; ``requirement`` says what a passing ticket shows.

    Tickets are judged by ``key_items``. A verdict that fewer than ``vote_threshold`` of the ticket's parsed rollouts share is
    reviewed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, StringConstraints(min_length=1)]
    domain: Literal["bbu", "rru"]
    focus: str
    requirement: str
    key_items: tuple[KeyItem, ...]
    vote_threshold: float = Field(default=0.6, ge=0, le=1)

    @model_validator(mode="after")
    def _distinct_words(self) -> Mission:
        words = [word for item in self.key_items for word in item.words]
        if twice := {word for word in words if words.count(word) > 1}:
            raise ValueError(f"a word names one key item only, once: {', '.join(sorted(twice))}")
        if not any(item.required for item in self.key_items):
            raise ValueError("at least one key item must be required")
        return self


@cache
def missions() -> dict[str, Mission]:
    """Every mission by name, in the order of ``missions.yaml``."""
    return _read(files("vqc").joinpath("missions.yaml").read_text("utf-8"), "missions.yaml")


def load_missions(path: Path) -> dict[str, Mission]:
    """Additional missions by name, from a YAML file in the format of ``vqc/missions.yaml``.

    >>> import tempfile
    >>> text = "[{name: 塔灯检查, domain: rru, focus: 塔灯, requirement: 塔灯亮, key_items: [{name: 塔灯}]}]"
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "further.yaml")
    ...     _ = path.write_text(text, "utf-8")
    ...     load_missions(path)["塔灯检查"].key_items[0].required
    True

    Raises:
        InvalidValue: an unreadable file or an invalid field; the message names both.
    """
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidValue(str(path), type(error).__name__, "must be a readable UTF-8 YAML file") from error
    further = _read(text, str(path))
    for name in further:
        if name in missions():
            raise InvalidValue(f"{path}: name", name, "is a built-in mission; choose another name")
    return further


def mission_named(name: str) -> Mission:
    """The mission with this exact name.

    >>> mission_named("挡风板安装检查").domain
    'bbu'

    Raises:
        UnknownMission: no such mission; the message names the nearest one.
    """
    try:
        return missions()[name]
    except KeyError:
        raise UnknownMission(name, missions()) from None


def _read(text: str, source: str) -> dict[str, Mission]:
    try:
        found = TypeAdapter(list[Mission]).validate_python(yaml.safe_load(text))
    except yaml.YAMLError as error:
        raise InvalidValue(source, text[:40], f"must be YAML: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        first = error.errors()[0]
        field = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"])
        raise InvalidValue(f"{source}: {field.lstrip('.')}", first["input"], first["msg"]) from error
    names = [mission.name for mission in found]
    for name in names:
        if names.count(name) > 1:
            raise InvalidValue(f"{source}: name", name, "must name one mission only")
    return {mission.name: mission for mission in found}
