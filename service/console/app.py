"""Puts the console together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from fastapi import APIRouter, FastAPI, Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp

from service.console import assets, errors, sign
from service.console.errors import SIGN_IN
from service.console.pages import PAGES
from service.console.render import visit_of
from service.console.session_middleware import SessionMiddleware
from service.console.sessions import Sessions
from service.web.auth import KeyRing

start = APIRouter()


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleOptions:
    """What the settings say of the console. ``secret`` None: sessions end with the process."""

    secret: bytes | None = None
    lasting: timedelta = timedelta(hours=12)
    grafana_url: str | None = None


def create_console(
    options: ConsoleOptions, *, attach: Callable[[FastAPI], None], keys: KeyRing, sessions: Sessions | None = None
) -> ASGIApp:
    """The console as the gate runs it for every path under ``/console``.

    ``attach`` lets its pages reach the capabilities; ``sessions`` replaces the sessions of ``options``, for a test's clock.
    """
    sessions = sessions or Sessions(options.secret, lasting=options.lasting)
    app = FastAPI(title="VQC console", openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    attach(app)
    app.state.sessions = sessions
    app.state.grafana_url = options.grafana_url
    for router in (start, assets.router, sign.router, *(page.router for page in PAGES)):
        app.include_router(router)
    errors.install(app)
    return SessionMiddleware(app, keys=keys, sessions=sessions, pages=PAGES)


@start.get("/console")
@start.get("/console/")
async def index(request: Request) -> Response:
    """On to the first page that the caller may see."""
    visit = visit_of(request)
    shown = [page.path for page in visit.pages if page.shown_to(visit.caller) and page.path]
    return RedirectResponse(shown[0] if shown else SIGN_IN, 303)
