"""Sign-in with an API key, sign-out, and the choice of language."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse, Response

from service.console.errors import SIGN_IN
from service.console.render import page, visit_of
from service.console.session_middleware import cookie_of
from service.console.sessions import Session, Sessions
from service.console.words import COOKIE, Language
from service.platform.errors import Unauthenticated
from service.web.services import web_services

router = APIRouter(prefix="/console")


@router.get("/sign-in")
async def sign_in(request: Request, next: str = "/console", ended: bool = False) -> Response:
    """The form."""
    return page(request, "sign_in.html", next=local_path(next), ended=ended, unsaved=False, problem=None)


@router.post("/sign-in")
async def submit_sign_in(
    request: Request,
    key: Annotated[str, Form(max_length=256)],
    next: Annotated[str, Form()] = "/console",
) -> Response:
    """Redirects to the page that the person wanted, with a new session; shows the form again if the key is invalid."""
    try:
        caller = web_services(request).keys.authenticate(f"Bearer {key.strip()}")
    except Unauthenticated as error:
        return page(request, "sign_in.html", 401, next=local_path(next), ended=False, unsaved=False, problem=str(error))
    return with_session(
        request, RedirectResponse(local_path(next), 303), sessions_of(request).create(key_id=caller.key_id)
    )


@router.post("/sign-out")
async def sign_out(request: Request) -> Response:
    """Redirects to the form, with a new anonymous session."""
    return with_session(request, RedirectResponse(SIGN_IN, 303), sessions_of(request).create())


@router.post("/language")
async def language(
    request: Request, language: Annotated[Language, Form()], next: Annotated[str, Form()] = "/console"
) -> Response:
    """The same page in the other language, remembered for a year."""
    response = RedirectResponse(local_path(next), 303)
    response.set_cookie(COOKIE, language, max_age=365 * 86400, path="/console", samesite="lax", httponly=True)
    return response


def sessions_of(request: Request) -> Sessions:
    """The application's ``Sessions``."""
    sessions: Sessions = request.app.state.sessions
    return sessions


def with_session(request: Request, response: Response, session: Session) -> Response:
    """Sets the session's cookie on the response."""
    secure = request.scope["scheme"] == "https"
    response.headers.append("Set-Cookie", cookie_of(sessions_of(request), session, secure=secure))
    return response


def remember_name(request: Request, response: Response, name: str) -> Response:
    """Stores the name that a person entered in the session, by the cookie of the response. With keys it is the key's."""
    session = visit_of(request).session
    if name == session.name or session.key_id is not None:
        return response
    return with_session(request, response, sessions_of(request).renew(session, name=name))


def local_path(path: str) -> str:
    """``path`` if it is a page of the console, else the start page of the console; this prevents open redirects.

    >>> local_path("/console/queue?x=1"), local_path("//evil.example/console"), local_path("/console/\\\\x")
    ('/console/queue?x=1', '/console', '/console')
    >>> local_path("/console.evil")
    '/console'
    """
    own = path == "/console" or path.startswith(("/console/", "/console?"))
    return path if own and "\\" not in path and path.isprintable() else "/console"
