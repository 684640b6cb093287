"""Builds the console's ASGI application."""

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
from service.console.session_store import SessionStore
from service.console.sessions import Sessions
from service.web.auth import KeyRing

start = APIRouter()


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleOptions:
    """The settings of the console. A session ends ``session_idle`` after its person's last request."""

    session_idle: timedelta = timedelta(hours=12)
    grafana_url: str | None = None


def create_console(
    options: ConsoleOptions, *, attach: Callable[[FastAPI], None], keys: KeyRing, store: SessionStore
) -> ASGIApp:
    """The console, which the gate runs for every path under ``/console``.

    ``attach`` attaches the services of the capabilities; ``store`` holds the sessions.
    """
    sessions = Sessions(store, idle=options.session_idle)
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
    """Redirects to the first page that the caller may see."""
    visit = visit_of(request)
    paths = [page.path for page in visit.pages if page.is_visible_to(visit.caller) and page.path]
    return RedirectResponse(paths[0] if paths else SIGN_IN, 303)
