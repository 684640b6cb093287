"""Sign-in with an API key, sign-out, and the choice of language."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse, Response

from service.console.errors import SIGN_IN
from service.console.render import NAME_COOKIE, page, visit_of
from service.console.session_middleware import cookie_of
from service.console.session_store import SessionRecord
from service.console.sessions import Session, Sessions
from service.console.words import COOKIE, Language
from service.platform.audit_log import Action
from service.platform.errors import Unauthenticated
from service.web.audit import record
from service.web.services import web_services
from vqc.errors import VqcError

router = APIRouter(prefix="/console")


@router.get("/sign-in")
async def sign_in(request: Request, next: str = "/console", ended: bool = False) -> Response:
    """The form."""
    return sign_in_page(request, next, ended=ended)


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
        await record(request, Action.SIGN_IN_REJECTED, reason=str(error))
        return sign_in_page(request, next, error, 401)
    sessions, keys = sessions_of(request), web_services(request).keys
    await sessions.end(visit_of(request).session)
    if caller.key_id is None:
        return RedirectResponse(local_path(next), 303)  # without keys there is nothing to sign in to
    session = await sessions.start(SessionRecord(key_id=caller.key_id, digest=keys.digest(caller.key_id)))
    request.scope["vqc_caller"] = caller
    await record(request, Action.SIGNED_IN)
    return with_session(request, RedirectResponse(local_path(next), 303), session)


@router.post("/sign-out")
async def sign_out(request: Request) -> Response:
    """Ends the session and redirects to the form, with a new anonymous session."""
    sessions = sessions_of(request)
    await sessions.end(visit_of(request).session)
    await record(request, Action.SIGNED_OUT)
    return with_session(request, RedirectResponse(SIGN_IN, 303), sessions.anonymous())


@router.post("/language")
async def language(
    request: Request, language: Annotated[Language, Form()], next: Annotated[str, Form()] = "/console"
) -> Response:
    """The same page in the other language, remembered for a year."""
    response = RedirectResponse(local_path(next), 303)
    _remember(request, response, COOKIE, language)
    return response


def sign_in_page(
    request: Request, next: str, problem: VqcError | None = None, status: int = 200, *, ended: bool = False
) -> Response:
    """The form, with the reason why a sign-in failed."""
    return page(
        request,
        "sign_in.html",
        status,
        next=local_path(next),
        ended=ended,
        unsaved=False,
        problem=str(problem) if problem else None,
    )


def sessions_of(request: Request) -> Sessions:
    """The application's ``Sessions``."""
    sessions: Sessions = request.app.state.sessions
    return sessions


def with_session(request: Request, response: Response, session: Session) -> Response:
    """Sets the session's cookie on the response."""
    response.headers.append("Set-Cookie", cookie_of(session, secure=request.scope["scheme"] == "https"))
    return response


def remember_name(request: Request, response: Response, name: str) -> Response:
    """Stores the name that a person has entered in a cookie. With keys it is the key's."""
    visit = visit_of(request)
    if not visit.signs_in and name != visit.entered_name:
        _remember(request, response, NAME_COOKIE, quote(name))
    return response


def _remember(request: Request, response: Response, cookie: str, value: str) -> None:
    """Sets a cookie that lasts for a year."""
    secure = request.scope["scheme"] == "https"
    response.set_cookie(cookie, value, 365 * 86400, path="/console", secure=secure, httponly=True, samesite="lax")


def local_path(path: str) -> str:
    """``path`` if it is a page of the console, else the start page of the console; this prevents open redirects.

    >>> local_path("/console/queue?x=1"), local_path("//evil.example/console"), local_path("/console/\\\\x")
    ('/console/queue?x=1', '/console', '/console')
    >>> local_path("/console.evil")
    '/console'
    """
    own = path == "/console" or path.startswith(("/console/", "/console?"))
    return path if own and "\\" not in path and path.isprintable() else "/console"
