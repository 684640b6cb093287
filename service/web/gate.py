"""The checks before every route: request id, host, key, drain, admission, body limit; then the log line.

Plain ASGI: a framework middleware would hide the client's disconnect from the routes.
"""

from __future__ import annotations

import re
from contextlib import AbstractContextManager, ExitStack, nullcontext
from time import perf_counter
from typing import cast
from uuid import uuid4

import structlog
from opentelemetry.propagate import extract
from opentelemetry.trace import INVALID_SPAN, Span, SpanKind, StatusCode, get_tracer
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.platform.errors import (
    BodyTimeout,
    BodyTooLarge,
    BytesOverloaded,
    ConnectionsFull,
    Draining,
    HostRefused,
    MalformedRequest,
    OriginRefused,
    Overloaded,
    QuotaSpent,
    RateLimited,
)
from service.platform.http_protocol import BODY_BYTES, RESERVED
from service.web.auth import PUBLIC_PATHS, caller_in
from service.web.intake import BodyIntake, check_declared
from service.web.metrics import HttpMetrics, Rejection
from service.web.origin import check_origin
from service.web.problems import problem_response
from service.web.services import WebServices
from vqc.errors import VqcError

WORK_PATHS = frozenset(
    {"/caption", "/stage-a", "/stage-b/groups", "/console/try/caption", "/console/try/stage-a", "/console/try/picture"}
)
"""The paths whose POST is work: it takes photos, counts against the in-flight limit and is drained."""
CONSOLE = "/console"
"""The prefix of the pages for people, which authenticate by the console's session cookie."""

_REJECTIONS: dict[type[VqcError], Rejection] = {
    Overloaded: "overloaded",
    Draining: "draining",
    BodyTooLarge: "body_too_large",
    BodyTimeout: "body_timeout",
    BytesOverloaded: "bytes_overloaded",
    ConnectionsFull: "connections_full",
    HostRefused: "host",
    RateLimited: "rate_limited",
    QuotaSpent: "quota_spent",
    OriginRefused: "origin",
    MalformedRequest: "malformed",
}
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_log = structlog.get_logger("vqc.http")
_tracer = get_tracer("vqc.http")


class Gate:
    """Wraps the application in the checks."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        console: ASGIApp | None = None,
        web: WebServices,
        metrics: HttpMetrics,
    ) -> None:
        self._app = app
        self._console = console
        self._web = web
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one request; anything but HTTP is passed on unchanged."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        started, headers, status = perf_counter(), Headers(scope=scope), 0
        request_id = headers.get("x-request-id", "")
        if not _REQUEST_ID.fullmatch(request_id):
            request_id = uuid4().hex
        scope["vqc_request_id"] = request_id

        async def send_named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                response = MutableHeaders(scope=message)
                response["X-Request-Id"] = request_id
                if self._web.admission.leaving:
                    # A kept-alive connection would take its next request to a socket that is about to close.
                    response["Connection"] = "close"
            await send(message)

        with nullcontext(INVALID_SPAN) if scope["path"] in PUBLIC_PATHS else _span(scope["method"], headers) as span:
            try:
                with structlog.contextvars.bound_contextvars(request_id=request_id):
                    await self._check_and_run(scope, headers, receive, send_named)
            except Exception as error:
                _log.exception("unhandled", request_id=request_id, path=scope["path"])
                if status == 0:
                    await problem_response(error, request_id)(scope, receive, send_named)
            finally:
                self._record(scope, status, perf_counter() - started, request_id, span)

    async def _check_and_run(self, scope: Scope, headers: Headers, receive: Receive, send: Send) -> None:
        work = scope["method"] == "POST" and scope["path"] in WORK_PATHS
        public = scope["path"] in PUBLIC_PATHS
        try:
            host = _only_host(scope, headers)
            if not public:
                if RESERVED in scope:
                    raise ConnectionsFull
                self._web.hosts.check(host)
                if self._web.keys.admits_every_caller:
                    check_origin(scope["method"], headers)
            app = self._console if self._console and _is_console(scope["path"]) else self._app
            if app is self._app and not public:
                caller = scope["vqc_caller"] = self._web.keys.authenticate(headers.get("authorization"))
                await self._web.limits.count_request(caller)
            max_bytes = self._web.max_body_bytes if work else self._web.max_small_body_bytes
            check_declared(headers, max_bytes, self._web.server.bytes, scope.get(BODY_BYTES, 0))
            await self._admit_and_run(app, scope, receive, send, max_bytes, work)
        except VqcError as error:
            self._record_rejection(error)
            await problem_response(error, scope["vqc_request_id"])(scope, receive, send)

    async def _admit_and_run(
        self, app: ASGIApp, scope: Scope, receive: Receive, send: Send, max_bytes: int, work: bool
    ) -> None:
        """Runs the application. Work is rejected before its body, and counts from the end of its body.

        A slow upload thus takes bytes and time, which have limits of their own, but no place among the work.
        """
        admission = self._web.admission
        with ExitStack() as admitted:
            if work:
                admission.check()
                if app is self._app:  # the console knows its caller only from the session
                    await self._web.limits.count_work(caller_in(scope))

            def admit() -> None:
                if work:
                    admitted.enter_context(admission.admit())

            await app(scope, BodyIntake(receive, max_bytes, admit, self._record_rejection).receive, send)

    def _record_rejection(self, error: VqcError) -> None:
        if type(error) in _REJECTIONS:
            self._metrics.record_rejection(_REJECTIONS[type(error)])

    def _record(self, scope: Scope, status: int, seconds: float, request_id: str, span: Span) -> None:
        # A request that was rejected before routing has no route; other paths are the caller's to choose, so one series.
        unrouted = scope["path"] if scope["path"] in WORK_PATHS else "unmatched"
        route = getattr(scope.get("route"), "path", unrouted)
        self._metrics.record_request(route, scope["method"], status, seconds)
        if span.is_recording():
            span.update_name(f"{scope['method']} {route}")
            span.set_attributes({"http.response.status_code": status, "vqc.request_id": request_id})
            if status >= 500:
                span.set_status(StatusCode.ERROR)
        if scope["path"] not in PUBLIC_PATHS:
            caller = caller_in(scope) if "vqc_caller" in scope else None
            client = cast("tuple[str, int] | None", scope.get("client"))
            _log.info(
                "request",
                request_id=request_id,
                key=caller.key_id if caller else None,
                client=client[0] if client else None,
                method=scope["method"],
                path=scope["path"],
                status=status or "disconnected",
                ms=round(seconds * 1000, 1),
            )


def _only_host(scope: Scope, headers: Headers) -> str:
    """The ``Host`` header, of which HTTP/1.1 has exactly one. With two, a proxy before us and we could each believe another."""
    hosts = headers.getlist("host")
    if len(hosts) > 1 or (not hosts and scope.get("http_version") == "1.1"):
        raise MalformedRequest(f"a request has one Host header; found {len(hosts)}")
    return hosts[0] if hosts else ""


def _is_console(path: str) -> bool:
    return path == CONSOLE or path.startswith(f"{CONSOLE}/")


def _span(method: str, headers: Headers) -> AbstractContextManager[Span]:
    """The span of a request, in its caller's trace if it carries one."""
    caller = extract(headers) if "traceparent" in headers else None
    return _tracer.start_as_current_span(method, context=caller, kind=SpanKind.SERVER)
