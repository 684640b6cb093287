"""Pages from templates: what every template can use, and the response."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import cast
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from scenes.overlay import TYPES
from service.console.assets import static
from service.console.page import ConsolePage
from service.console.sessions import Session
from service.console.words import Language, known, speaker
from service.web.auth import Caller


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """Who looks, in which language; ``SessionMiddleware`` puts it into the request's scope as ``vqc_visit``."""

    session: Session
    language: Language
    caller: Caller | None
    signs_in: bool
    """Whether keys are in force; without them there is nobody to sign in or out."""
    ended: bool
    """Whether this was somebody's session, who has to sign in again."""
    pages: tuple[ConsolePage, ...]


def visit_of(request: Request) -> Visit:
    """The visit that a request belongs to."""
    return cast(Visit, request.scope["vqc_visit"])


def words_of(request: Request) -> Callable[..., str]:
    """``t`` in the language of the request."""
    return speaker(visit_of(request).language)


def page(request: Request, template: str, status: int = 200, **values: object) -> Response:
    """A template's HTML with ``values``; beside them it has ``t``, ``lang``, ``csrf_token``, ``caller`` and ``nav``."""
    visit = visit_of(request)
    html = environment().get_template(template).render(
        {
            "t": speaker(visit.language),
            "lang": visit.language.value,
            "languages": list(Language),
            "csrf_token": visit.session.token,
            "person": visit.session.name,
            "caller": visit.caller,
            "signs_in": visit.signs_in,
            "nav": [one for one in visit.pages if one.shown_to(visit.caller)],
            "here": request.url.path,
            "here_query": f"{request.url.path}?{request.url.query}" if request.url.query else request.url.path,
            **values,
        }
    )  # fmt: skip
    return HTMLResponse(html, status)


@cache
def environment() -> Environment:
    """The templates. Everything is escaped, and a name that nobody gave is an error."""
    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals |= {"static": static, "overlay_types": TYPES, "known": known, "quote": quote}
    made.filters |= {"moment": moment, "age": age, "short": short}
    return made


def moment(when: datetime) -> str:
    """A time as pages write it, UTC, to the second.

    >>> moment(datetime(2026, 11, 24, 8, 5, tzinfo=UTC))
    '2026-11-24 08:05:00 UTC'
    """
    return when.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def age(when: datetime) -> str:
    """How long ago, in the one unit that says most.

    >>> age(datetime.now(UTC))
    '0 s'
    """
    seconds = max(0, int((datetime.now(UTC) - when).total_seconds()))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def short(digest: str) -> str:
    """A digest's first twelve figures, without its algorithm.

    >>> short("sha256:" + "a" * 64), short("unknown")
    ('aaaaaaaaaaaa', 'unknown')
    """
    return digest.removeprefix("sha256:")[:12]
