"""ASGI middleware of every request to ``/console``: session, sign-in, CSRF token and security headers.

It puts ``vqc_caller`` and ``vqc_visit`` into the scope for the routes.
"""

from __future__ import annotations

import hmac
from typing import cast
from urllib.parse import parse_qs, unquote

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.console import assets
from service.console.accounts import GroupScopes, caller_of_account
from service.console.errors import SIGN_IN, error_response, reads_html, redirect_to_sign_in
from service.console.page import ConsolePage
from service.console.proxy_sign_in import ProxySignIn
from service.console.render import NAME_COOKIE, Visit
from service.console.sessions import COOKIE, Session, Sessions
from service.console.words import language_of
from service.platform.errors import BodyTooLarge, Forbidden, QueueUnavailable, Unauthenticated
from service.web.auth import Caller, KeyRing
from service.web.problems import problem_response

OPEN_PATHS = frozenset({SIGN_IN, "/console/language", f"{SIGN_IN}/oidc", f"{SIGN_IN}/oidc/callback"})
"""Paths that need no sign-in."""
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
_SAFE = frozenset({"GET", "HEAD"})
_MAX_FORM = 64 * 1024


class SessionMiddleware:
    """Wraps the console's routes."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        keys: KeyRing,
        sessions: Sessions,
        pages: tuple[ConsolePage, ...],
        groups: GroupScopes,
        proxy: ProxySignIn | None,
    ) -> None:
        self._app = app
        self._keys = keys
        self._sessions = sessions
        self._pages = pages
        self._groups = groups
        self._proxy = proxy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one request."""
        request = Request(scope, receive)
        cookie = request.cookies.get(COOKIE)
        static = scope["path"].startswith(f"{assets.PREFIX}/")
        session, caller, outage = self._sessions.anonymous(), None, None
        try:
            if not static:
                session, caller = await self._session_and_caller(request, cookie)
        except (QueueUnavailable, Forbidden) as error:
            outage = error
        scope["vqc_caller"] = caller or Caller(key_id=None, scopes=frozenset())
        scope["vqc_visit"] = Visit(
            session=session,
            language=language_of(request),
            caller=caller,
            signs_in=not self._keys.admits_every_caller,
            ended=caller is None and outage is None and self._sessions.was_signed_in(cookie),
            pages=self._pages,
            entered_name=unquote(request.cookies.get(NAME_COOKIE, "")).strip()[:128],
        )

        scope["vqc_actor"] = None if caller is None else cast(Visit, scope["vqc_visit"]).person

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
                # A route that signs in or out has set its own cookie. Scripts and styles are cached by all: no cookie.
                fresh = session.id != cookie and not static and outage is None
                if fresh and f"{COOKIE}=" not in headers.get("set-cookie", ""):
                    headers.append("Set-Cookie", cookie_of(session, secure=scope["scheme"] == "https"))
            await send(message)

        if outage is not None:
            await error_response(request, outage)(scope, receive, send_guarded)
            return
        rejection, receive = (None, receive) if static else await self._check(request, receive, session, caller)
        await (rejection or self._app)(scope, receive, send_guarded)

    async def _session_and_caller(self, request: Request, cookie: str | None) -> tuple[Session, Caller | None]:
        """The session of the cookie, or a new one, and who has signed in to it. Raises ``QueueUnavailable``."""
        # htmx loads only figures that a page updates by itself: an open page alone keeps no session alive.
        person_acts = request.method not in _SAFE or request.headers.get("hx-request") != "true"
        session = await self._sessions.read(cookie, renew=person_acts) or self._sessions.anonymous()
        if self._keys.admits_every_caller:
            return session, self._keys.authenticate(None)
        if self._proxy and (account := self._proxy.account_of(request.scope)):
            return session, caller_of_account(account, self._groups)
        record = session.record
        if record is None:
            return session, None
        try:
            if record.account is not None:
                return session, caller_of_account(record.account, self._groups)
            return session, self._keys.holder(record.key_id or "", digest=record.digest)
        except (Unauthenticated, Forbidden):
            # The key was revoked, replaced or has expired, or the account's groups lost their scopes. The session stays ended
            # even if the key comes back.
            await self._sessions.end(session)
            return self._sessions.anonymous(), None

    async def _check(
        self, request: Request, receive: Receive, session: Session, caller: Caller | None
    ) -> tuple[Response | None, Receive]:
        """The response that rejects the request, or None, and the channel from which the routes read its body."""
        if caller is None and request.url.path not in OPEN_PATHS:
            if reads_html(request):
                return redirect_to_sign_in(request), receive
            ended = Unauthenticated("the session has ended: sign in again at /console/sign-in")
            return problem_response(ended, request.scope.get("vqc_request_id")), receive
        if request.method in _SAFE:
            return None, receive
        token = request.headers.get("x-csrf-token")
        if token is None and request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            # The token of a form is in its body, which can be read only once: the routes then read a copy.
            body = b""
            async for chunk in request.stream():
                body += chunk
                if len(body) > _MAX_FORM:
                    return error_response(request, BodyTooLarge(len(body), _MAX_FORM)), receive
            token = parse_qs(body.decode("utf-8", "replace")).get("csrf_token", [""])[0]
            receive = _replay_body(body, receive)
        if not hmac.compare_digest((token or "").encode(), session.token.encode()):
            reason = "the CSRF token does not belong to this session; reload the page and try again"
            return error_response(request, Forbidden(reason)), receive
        return None, receive


def cookie_of(session: Session, *, secure: bool) -> str:
    """The ``Set-Cookie`` header of a session. The cookie lasts until the browser is closed or the session ends."""
    flags = "; Secure" if secure else ""
    return f"{COOKIE}={session.id}; Path=/console; HttpOnly; SameSite=Lax{flags}"


def _replay_body(body: bytes, receive: Receive) -> Receive:
    """A ``receive`` that returns a body that has been read already, then the messages after it."""
    sent = False

    async def replay() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
