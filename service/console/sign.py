"""Signing in with an API key, signing out, and the choice of language."""

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
    return page(request, "sign_in.html", next=inside(next), ended=ended, unsaved=False, problem=None)


@router.post("/sign-in")
async def signed_in(
    request: Request,
    key: Annotated[str, Form(max_length=256)],
    name: Annotated[str, Form(max_length=64)] = "",
    next: Annotated[str, Form()] = "/console",
) -> Response:
    """On to where the person wanted to go, with a new session; the form again for a key that is not valid."""
    try:
        caller = web_services(request).keys.authenticate(f"Bearer {key.strip()}")
    except Unauthenticated as error:
        return page(request, "sign_in.html", 401, next=inside(next), ended=False, unsaved=False, problem=str(error))
    sessions = sessions_of(request)
    return with_session(
        request, RedirectResponse(inside(next), 303), sessions.begun(key_id=caller.key_id, name=name.strip())
    )


@router.post("/sign-out")
async def signed_out(request: Request) -> Response:
    """Back to the form, with a session of nobody."""
    return with_session(request, RedirectResponse(SIGN_IN, 303), sessions_of(request).begun())


@router.post("/language")
async def language(
    request: Request, language: Annotated[Language, Form()], next: Annotated[str, Form()] = "/console"
) -> Response:
    """The same page in the other language, remembered for a year."""
    response = RedirectResponse(inside(next), 303)
    response.set_cookie(COOKIE, language, max_age=365 * 86400, path="/console", samesite="lax", httponly=True)
    return response


def sessions_of(request: Request) -> Sessions:
    """What makes and reads sessions."""
    sessions: Sessions = request.app.state.sessions
    return sessions


def with_session(request: Request, response: Response, session: Session) -> Response:
    """The response that makes the browser go on with ``session``."""
    secure = request.scope["scheme"] == "https"
    response.headers.append("Set-Cookie", cookie_of(sessions_of(request), session, secure=secure))
    return response


def named(request: Request, response: Response, name: str) -> Response:
    """The response that also remembers what the person calls themselves."""
    session = visit_of(request).session
    if name == session.name:
        return response
    return with_session(request, response, sessions_of(request).renewed(session, name=name))


def inside(path: str) -> str:
    """``path`` if it is one of the console's own, else the console's start: nobody is sent elsewhere.

    >>> inside("/console/queue?x=1"), inside("//evil.example/console"), inside("/console.evil"), inside("/console/\\\\x")
    ('/console/queue?x=1', '/console', '/console', '/console')
    """
    own = path == "/console" or path.startswith(("/console/", "/console?"))
    return path if own and "\\" not in path and path.isprintable() else "/console"
