"""Every error as RFC 9457 problem+json. The only place that knows status codes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from engine.errors import EngineFailed, EngineOverloaded, EngineRefused, EngineTimeout, EngineUnavailable
from service.platform.errors import (
    AnswerMalformed,
    BodyTimeout,
    BodyTooLarge,
    BytesOverloaded,
    CatalogueUnavailable,
    ConnectionsFull,
    Draining,
    FetchFailed,
    Forbidden,
    GuidanceConflict,
    HostRefused,
    IdempotencyConflict,
    MalformedRequest,
    NotPromoted,
    OriginRefused,
    Overloaded,
    ProposalDecided,
    QueueFull,
    QueueUnavailable,
    QuotaSpent,
    RateLimited,
    RecordUnreadable,
    ReviewConflict,
    StorageFull,
    StorageUnavailable,
    SwapFailed,
    SwapRunning,
    TicketStateConflict,
    Unauthenticated,
    UnknownDelivery,
    UnknownModel,
    UnknownProposal,
    UnknownTicket,
    UnsupportedBody,
    UrlRejected,
)
from service.web.disconnect import ClientGone
from vqc.errors import InvalidValue, PhotoReason, PhotoRejected, UnknownMission, VqcError

MEDIA_TYPE = "application/problem+json"
PREFIX = "urn:vqc:problem:"


class Problem(BaseModel):
    """An RFC 9457 problem. ``type`` is ``urn:vqc:problem:<slug>``; ``field`` and ``valid`` say how to fix an invalid value."""

    model_config = ConfigDict(extra="forbid")

    type: str
    title: str
    status: int
    detail: str
    request_id: str | None = None
    field: str | None = None
    valid: str | None = None


_PHOTO_STATUS = {
    PhotoReason.TOO_MANY_BYTES: 413,
    PhotoReason.UNSUPPORTED_FORMAT: 415,
}

_KINDS: tuple[tuple[type[VqcError], int, str, str], ...] = (
    (UnknownMission, 422, "unknown-mission", "Unknown mission"),
    (BodyTooLarge, 413, "body-too-large", "The request body is too large"),
    (UnsupportedBody, 415, "unsupported-media-type", "The request body's type is not supported"),
    (HostRefused, 421, "host-refused", "The Host header names no allowed host"),
    (UrlRejected, 422, "url-rejected", "The URL is not allowed"),
    (FetchFailed, 422, "url-unreachable", "The photo could not be fetched"),
    (InvalidValue, 422, "invalid-value", "A value is not valid"),
    (Unauthenticated, 401, "unauthenticated", "A valid API key is required"),
    (Forbidden, 403, "forbidden", "The API key lacks the required scope"),
    (OriginRefused, 403, "origin-refused", "Another site's page made the request"),
    (MalformedRequest, 400, "malformed-request", "The request is malformed"),
    (Overloaded, 429, "overloaded", "The in-flight limit is reached"),
    (RateLimited, 429, "rate-limited", "The API key has sent its requests of this minute"),
    (QuotaSpent, 429, "quota-spent", "The API key has spent its quota of the day"),
    (BytesOverloaded, 429, "overloaded", "The in-flight limit is reached"),
    (ConnectionsFull, 503, "connections-full", "The limit on connections is reached"),
    (BodyTimeout, 408, "body-timeout", "The request body arrives too slowly"),
    (UnknownTicket, 404, "unknown-group", "Unknown ticket"),
    (UnknownDelivery, 404, "unknown-webhook", "Unknown webhook delivery"),
    (TicketStateConflict, 409, "group-state", "The ticket's state does not allow this"),
    (ReviewConflict, 409, "review-conflict", "Another decision was made meanwhile"),
    (IdempotencyConflict, 409, "idempotency-conflict", "The Idempotency-Key was used for another ticket"),
    (GuidanceConflict, 409, "guidance-conflict", "Another version is active by now"),
    (UnknownProposal, 404, "unknown-proposal", "Unknown proposal"),
    (ProposalDecided, 409, "proposal-decided", "The proposal is already decided"),
    (QueueFull, 429, "queue-full", "The queue is full"),
    (QueueUnavailable, 503, "queue-unavailable", "The queue does not answer"),
    (StorageFull, 507, "storage-full", "The disk of the service is full"),
    (StorageUnavailable, 503, "storage-unavailable", "A file of the service cannot be written"),
    (RecordUnreadable, 503, "group-unreadable", "The ticket's record cannot be read"),
    (UnknownModel, 404, "unknown-model", "Unknown model"),
    (NotPromoted, 409, "not-promoted", "The alias was not moved"),
    (CatalogueUnavailable, 503, "registry-unavailable", "The model registry cannot be used"),
    (SwapRunning, 409, "swap-running", "Another swap is running"),
    (SwapFailed, 502, "swap-failed", "The model was not replaced"),
    (Draining, 503, "draining", "The service is shutting down"),
    (EngineOverloaded, 429, "engine-overloaded", "The engine's queue is full"),
    (EngineUnavailable, 503, "engine-unavailable", "The engine does not answer"),
    (EngineTimeout, 504, "engine-timeout", "The deadline has passed"),
    (EngineRefused, 422, "engine-refused", "The engine rejected the input"),
    (EngineFailed, 502, "engine-failed", "The engine failed"),
    (AnswerMalformed, 502, "answer-malformed", "The model's answer cannot be parsed"),
)

_HTTP_SLUGS = {
    400: "malformed-request",
    404: "not-found",
    405: "method-not-allowed",
    413: "body-too-large",
    415: "unsupported-media-type",
}


def problem_of(error: Exception, request_id: str | None = None) -> Problem:
    """The problem that describes an error."""
    if isinstance(error, PhotoRejected):
        slug, title, status = f"photo-{error.reason}", "The photo cannot be used", _PHOTO_STATUS.get(error.reason, 422)
    elif isinstance(error, HTTPException):
        slug, title, status = _HTTP_SLUGS.get(error.status_code, "http"), str(error.detail), error.status_code
        return Problem(type=PREFIX + slug, title=title, status=status, detail=title, request_id=request_id)
    else:
        status, slug, title = next(
            (row[1:] for row in _KINDS if isinstance(error, row[0])), (500, "internal", "Internal error")
        )
    return Problem(
        type=PREFIX + slug,
        title=title,
        status=status,
        detail=str(error) if status != 500 else "The log has the details under the request id.",
        request_id=request_id,
        field=getattr(error, "field", None),
        valid=getattr(error, "valid", None),
    )


def problem_response(error: Exception, request_id: str | None = None) -> Response:
    """The HTTP response to an error, with ``Retry-After`` and ``WWW-Authenticate`` if they apply."""
    problem = problem_of(error, request_id)
    headers = dict(getattr(error, "headers", None) or {})
    if (retry_after_s := getattr(error, "retry_after_s", None)) is not None:
        headers["Retry-After"] = str(max(1, math.ceil(retry_after_s)))
    if problem.status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="vqc"'
    body = problem.model_dump_json(exclude_none=True)
    return Response(body, problem.status, headers, media_type=MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Answers every error of ``app`` with a problem."""

    async def handle(request: Request, error: Exception) -> Response:
        if isinstance(error, RequestValidationError):
            error = invalid_value(error.errors()[0])
        return problem_response(error, request.scope.get("vqc_request_id"))

    async def log_disconnect(request: Request, error: Exception) -> Response:
        return Response(status_code=499)  # for the log only: the client has disconnected

    for kind in (ClientGone, ClientDisconnect):
        app.add_exception_handler(kind, log_disconnect)
    for kind in (VqcError, HTTPException, RequestValidationError, Exception):
        app.add_exception_handler(kind, handle)


def invalid_value(detail: Mapping[str, Any]) -> InvalidValue:
    """A pydantic error as ``InvalidValue``: the dotted field, the value and what is valid."""
    path = [str(part) for part in detail["loc"] if part not in ("body", "query")]
    return InvalidValue(".".join(path) or "body", detail.get("input"), detail["msg"])
