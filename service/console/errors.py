"""Error responses of the console: a page with a remedy for people, problem+json for scripts."""

from __future__ import annotations

from urllib.parse import quote

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response

from service.console.render import page, visit_of
from service.console.words import has_text
from service.web.disconnect import ClientGone
from service.web.problems import invalid_value, problem_of, problem_response
from vqc.errors import VqcError

SIGN_IN = "/console/sign-in"


def install(app: FastAPI) -> None:
    """Installs the error handlers of the console's routes."""

    async def handle(request: Request, error: Exception) -> Response:
        shown = invalid_value(error.errors()[0]) if isinstance(error, RequestValidationError) else error
        return error_response(request, shown)

    async def close(request: Request, error: Exception) -> Response:
        return Response(status_code=499)  # nginx's code for a client that has disconnected; only logs see it

    for kind in (ClientGone, ClientDisconnect):
        app.add_exception_handler(kind, close)
    for kind in (VqcError, HTTPException, RequestValidationError, Exception):
        app.add_exception_handler(kind, handle)


def error_response(request: Request, error: Exception) -> Response:
    """The response to an error, in the format that the caller reads."""
    if not reads_html(request):
        return problem_response(error, request.scope.get("vqc_request_id"))
    problem = problem_of(error, request.scope.get("vqc_request_id"))
    slug = problem.type.rpartition(":")[2]
    key = slug if has_text(f"errors.{slug}") else "other"
    response = page(request, "error.html", problem.status, problem=problem, slug=key)
    if (wait_s := getattr(error, "retry_after_s", None)) is not None:
        response.headers["Retry-After"] = str(max(1, round(wait_s)))
    return response


def redirect_to_sign_in(request: Request) -> Response:
    """The response to a person who has not signed in, or whose session has ended."""
    there = f"{request.url.path}?{request.url.query}" if request.url.query else request.url.path
    # htmx follows a redirect inside its request and would put the form into a part of the page.
    if request.headers.get("hx-request") == "true":
        current = request.headers.get("hx-current-url", "")
        back = "/console" + current.partition("/console")[2] if "/console" in current else "/console"
        return Response(status_code=401, headers={"HX-Redirect": f"{SIGN_IN}?next={quote(back, safe='')}&ended=1"})
    ended = "&ended=1" if visit_of(request).ended else ""
    if request.method not in ("GET", "HEAD"):
        return page(request, "sign_in.html", 401, next="/console", ended=True, unsaved=True, problem=None)
    return RedirectResponse(f"{SIGN_IN}?next={quote(there, safe='')}{ended}", 303)


def reads_html(request: Request) -> bool:
    """Whether the caller is a browser (or htmx on a page) and not a script."""
    return "text/html" in request.headers.get("accept", "") or request.headers.get("hx-request") == "true"
