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
    """What the console speaks; the first one where a browser asks for neither."""

    ZH = "zh"
    EN = "en"


class Entry(BaseModel):
    """One text in every language; ``{name}`` stands for a value."""

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


def speaker(language: Language) -> Callable[..., str]:
    """``t(key, **values)`` of a language. An unknown key is a ``KeyError``: a page's test finds it.

    >>> speaker(Language.EN)("console.skip")
    'Skip to content'
    """

    def t(key: str, **values: object) -> str:
        text: str = getattr(catalogue()[key], language.value)
        return text.format(**values) if values else text

    return t


def known(key: str) -> bool:
    """Whether there is such a text."""
    return key in catalogue()


def language_of(request: Request) -> Language:
    """The language chosen in the header of a page, else the first that the browser asks for, else Chinese."""
    chosen = request.cookies.get(COOKIE)
    return Language(chosen) if chosen in set(Language) else asked(request.headers.get("accept-language", ""))


def asked(header: str) -> Language:
    """The first language of an ``Accept-Language`` that the console speaks; its order is taken as it stands.

    >>> str(asked("de, en-GB;q=0.8, zh;q=0.7")), str(asked("fr"))
    ('en', 'zh')
    """
    wanted = [part.strip().lower().partition(";")[0].partition("-")[0] for part in header.split(",")]
    return next((Language(one) for one in wanted if one in set(Language)), Language.ZH)
