"""Builds the console's ASGI application."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from fastapi import APIRouter, FastAPI, Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp

from service.console import assets, errors, oidc_routes, sign
from service.console.accounts import GroupScopes
from service.console.errors import SIGN_IN
from service.console.pages import PAGES
from service.console.proxy_sign_in import ProxySignIn
from service.console.recent import Recent
from service.console.render import visit_of
from service.console.session_middleware import SessionMiddleware
from service.console.session_store import SessionStore
from service.console.sessions import Sessions
from service.console.sign_in_provider import SignInProvider
from service.web.auth import KeyRing

start = APIRouter()


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleOptions:
    """The settings of the console. A session ends ``session_idle`` after its person's last request."""

    session_idle: timedelta = timedelta(hours=12)
    groups: GroupScopes = field(default_factory=dict)
    """What the groups of an account allow, whether ``oidc`` or ``proxy`` has signed it in."""
    oidc: SignInProvider | None = None
    proxy: ProxySignIn | None = None
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
    app.state.live_numbers = Recent()
    app.state.oidc = options.oidc
    app.state.group_scopes = options.groups
    for router in (start, assets.router, sign.router, oidc_routes.router, *(page.router for page in PAGES)):
        app.include_router(router)
    errors.install(app)
    return SessionMiddleware(app, keys=keys, sessions=sessions, pages=PAGES, groups=options.groups, proxy=options.proxy)


@start.get("/console")
@start.get("/console/")
async def index(request: Request) -> Response:
    """Redirects to the first page that the caller may see."""
    visit = visit_of(request)
    paths = [page.path for page in visit.pages if page.is_visible_to(visit.caller) and page.path]
    return RedirectResponse(paths[0] if paths else SIGN_IN, 303)
