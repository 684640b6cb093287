"""Sign-in at an OpenID Connect provider: away to it, and back."""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode

from fastapi import APIRouter, Request
from pydantic import TypeAdapter
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from service.console.accounts import caller_of_account
from service.console.render import visit_of
from service.console.session_store import SessionRecord
from service.console.sign import local_path, sessions_of, sign_in_page, with_session
from service.console.sign_in_provider import SignInAttempt, SignInProvider
from service.platform.audit_log import Action
from service.platform.errors import Forbidden, SignInFailed
from service.web.audit import record

COOKIE = "vqc_oidc"
PATH = "/console/sign-in/oidc"
CALLBACK = f"{PATH}/callback"
router = APIRouter(prefix=PATH)
_ATTEMPT = TypeAdapter(SignInAttempt)
_TEN_MINUTES_S = 600


@router.get("")
async def begin(request: Request, next: str = "/console") -> Response:
    """Redirects to the provider."""
    try:
        url, attempt = await _provider(request).begin(_redirect_uri(request), local_path(next))
    except SignInFailed as error:
        return sign_in_page(request, next, error, 502)
    response = RedirectResponse(url, 303)
    # Lax, because the provider's redirect is a navigation from another site. No other browser has this cookie, so no one can
    # make a person sign in with an answer that was meant for someone else.
    secure = request.scope["scheme"] == "https"
    value = urlsafe_b64encode(_ATTEMPT.dump_json(attempt)).decode()
    response.set_cookie(COOKIE, value, _TEN_MINUTES_S, path=PATH, secure=secure, httponly=True, samesite="lax")
    return response


@router.get("/callback")
async def callback(request: Request, state: str = "", code: str = "", error: str = "") -> Response:
    """Redirects to the page that the person wanted, with a new session; shows the form again if they may not sign in."""
    provider, attempt = _provider(request), _attempt(request)
    wanted = attempt.next if attempt else "/console"
    try:
        if attempt is None or not hmac.compare_digest(state.encode(), attempt.state.encode()):
            raise SignInFailed("the sign-in was begun in another browser or too long ago; try again")
        if error or not code:
            raise SignInFailed(f"the sign-in provider refused: {error or 'no code'}")
        account = await provider.finish(_redirect_uri(request), code, attempt)
        caller = caller_of_account(account, request.app.state.group_scopes)
    except (SignInFailed, Forbidden) as failure:
        await record(request, Action.SIGN_IN_REJECTED, reason=str(failure))
        response = sign_in_page(request, wanted, failure, 403 if isinstance(failure, Forbidden) else 401)
    else:
        sessions = sessions_of(request)
        await sessions.end(visit_of(request).session)
        session = await sessions.start(SessionRecord(account=account))
        request.scope["vqc_caller"] = caller
        await record(request, Action.SIGNED_IN)
        response = with_session(request, RedirectResponse(local_path(wanted), 303), session)
    response.delete_cookie(COOKIE, path=PATH)
    return response


def _provider(request: Request) -> SignInProvider:
    provider: SignInProvider | None = request.app.state.oidc
    if provider is None:
        raise HTTPException(404)
    return provider


def _redirect_uri(request: Request) -> str:
    """This service as the browser sees it; the provider accepts only addresses that are registered there."""
    return f"{request.scope['scheme']}://{request.headers.get('host', '')}{CALLBACK}"


def _attempt(request: Request) -> SignInAttempt | None:
    try:
        return _ATTEMPT.validate_json(urlsafe_b64decode(request.cookies.get(COOKIE, "")))
    except ValueError:
        return None
