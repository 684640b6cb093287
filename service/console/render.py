"""Renders pages from templates, with the values that every template can use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import cast
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from scenes.overlay import TYPES
from service.console.assets import static
from service.console.page import ConsolePage
from service.console.sessions import Session
from service.console.words import Language, has_text, translator
from service.web.auth import Caller
from vqc.verdict import Verdict

NAME_COOKIE = "vqc_name"
"""The name that a person has entered, on a service without keys."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """The person and their language; ``SessionMiddleware`` puts it into the request's scope as ``vqc_visit``."""

    session: Session
    language: Language
    caller: Caller | None
    signs_in: bool
    """Whether API keys are required; without them there is no sign-in."""
    ended: bool
    """Whether the session of a signed-in person has ended."""
    pages: tuple[ConsolePage, ...]
    entered_name: str = ""
    """The name that a person has entered before, where there is no sign-in."""

    @property
    def person(self) -> str:
        """The name under which a decision is recorded: the key's holder; without keys the name entered, empty before."""
        return self.caller.name_on_record("") if self.signs_in and self.caller else self.entered_name


def visit_of(request: Request) -> Visit:
    """The visit that a request belongs to."""
    return cast(Visit, request.scope["vqc_visit"])


def words_of(request: Request) -> Callable[..., str]:
    """The function ``t`` in the language of the request."""
    return translator(visit_of(request).language)


def page(request: Request, template: str, status: int = 200, **values: object) -> Response:
    """Renders a template with ``values`` and with ``t``, ``lang``, ``csrf_token``, ``caller``, ``nav`` and a few others."""
    visit = visit_of(request)
    html = environment().get_template(template).render(
        {
            "t": translator(visit.language),
            "lang": visit.language.value,
            "languages": list(Language),
            "csrf_token": visit.session.token,
            "person": visit.person,
            "caller": visit.caller,
            "signs_in": visit.signs_in,
            "has_provider": getattr(request.app.state, "oidc", None) is not None if "app" in request.scope else False,
            "nav": [one for one in visit.pages if one.is_visible_to(visit.caller)],
            "here": request.url.path,
            "here_query": f"{request.url.path}?{request.url.query}" if request.url.query else request.url.path,
            **values,
        }
    )  # fmt: skip
    return HTMLResponse(html, status)


@cache
def environment() -> Environment:
    """The templates. All values are escaped, and an undefined name is an error."""
    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals |= {"static": static, "overlay_types": TYPES, "has_text": has_text, "quote": quote}
    made.filters |= {
        "moment": moment,
        "short": short,
        "age": pass_context(lambda context, when: age(when, context["t"])),
        "verdict": pass_context(lambda context, verdict: verdict_text(verdict, context["t"])),
    }
    return made


def moment(when: datetime) -> str:
    """A time in UTC, to the second.

    >>> moment(datetime(2026, 11, 24, 8, 5, tzinfo=UTC))
    '2026-11-24 08:05:00 UTC'
    """
    return when.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def age(when: datetime, t: Callable[..., str]) -> str:
    """The time since then, in its largest unit.

    >>> age(datetime.now(UTC), translator(Language.ZH)), age(datetime.now(UTC), translator(Language.EN))
    ('0 秒', '0 s')
    """
    seconds = max(0, int((datetime.now(UTC) - when).total_seconds()))
    units = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))
    size, unit = next((one for one in units if seconds >= one[0]), units[-1])
    return t(f"console.age_{unit}", n=seconds // size)


def verdict_text(verdict: str, t: Callable[..., str]) -> str:
    """A verdict, on English pages with its translation.

    >>> verdict_text("通过", translator(Language.EN)), verdict_text("不通过", translator(Language.ZH))
    ('通过 (pass)', '不通过')
    """
    return t("console.verdict_pass" if verdict == Verdict.PASS else "console.verdict_fail")


def short(digest: str) -> str:
    """The first twelve digits of a digest, without its algorithm.

    >>> short("sha256:" + "a" * 64), short("unknown")
    ('aaaaaaaaaaaa', 'unknown')
    """
    return digest.removeprefix("sha256:")[:12]
