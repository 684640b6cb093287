"""The console's words in Chinese and English: one YAML file per page, both languages side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import cache
from importlib.resources import files

import yaml
from pydantic import BaseModel, ConfigDict, TypeAdapter
from starlette.requests import Request

COOKIE = "vqc_language"


class Language(StrEnum):
    """The languages of the console; the first is the default."""

    ZH = "zh"
    EN = "en"


class Entry(BaseModel):
    """One text in every language; ``{name}`` is the place of a value."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    zh: str
    en: str


@cache
def catalogue() -> Mapping[str, Entry]:
    """Every text by its key, ``<file>.<name>``."""
    reader = TypeAdapter(dict[str, Entry])
    folder = files("service.console").joinpath("words")
    return {
        f"{file.name.removesuffix('.yaml')}.{name}": entry
        for file in folder.iterdir()
        if file.name.endswith(".yaml")
        for name, entry in reader.validate_python(yaml.safe_load(file.read_text("utf-8"))).items()
    }


def translator(language: Language) -> Callable[..., str]:
    """The function ``t(key, **values)`` of a language. It raises ``KeyError`` for an unknown key.

    >>> translator(Language.EN)("console.skip")
    'Skip to content'
    """

    def t(key: str, **values: object) -> str:
        text: str = getattr(catalogue()[key], language.value)
        return text.format(**values) if values else text

    return t


def has_text(key: str) -> bool:
    """Whether the catalogue has the key."""
    return key in catalogue()


def language_of(request: Request) -> Language:
    """The language chosen on a page, or the first one of the browser that the console has, or Chinese."""
    chosen = request.cookies.get(COOKIE)
    return (
        Language(chosen) if chosen in set(Language) else preferred_language(request.headers.get("accept-language", ""))
    )


def preferred_language(header: str) -> Language:
    """The first language of an ``Accept-Language`` that the console has. Weights are ignored.

    >>> str(preferred_language("de, en-GB;q=0.8, zh;q=0.7")), str(preferred_language("fr"))
    ('en', 'zh')
    """
    languages = [part.strip().lower().partition(";")[0].partition("-")[0] for part in header.split(",")]
    return next((Language(one) for one in languages if one in set(Language)), Language.ZH)
