"""The OpenAPI document: bodies, errors and security, which the framework cannot derive from the routes, are added here."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from service.photos.schemas import CaptionIn, StageAIn, StreamedObject
from service.tickets.schemas import TicketEventOut, TicketIn, TicketPhotoIn
from service.web.auth import PUBLIC_PATHS
from service.web.problems import MEDIA_TYPE, Problem
from service.web.schemas import PhotoIn

_REF = "#/components/schemas/{model}"
_PROBLEM = {MEDIA_TYPE: {"schema": {"$ref": _REF.format(model="Problem")}}}
_ERRORS = {
    "400": "The request is malformed",
    "401": "No valid API key",
    "403": "The API key lacks the required scope, or another site's page made the request",
    "408": "The body arrives too slowly",
    "413": "The body or the photo is too large",
    "415": "The type of the body or of the photo is not supported",
    "421": "The `Host` header names no allowed host",
    "422": "A value is not valid; `field` names it and `valid` says what is",
    "429": "The in-flight limit, in requests or bytes, is reached; retry after the seconds in `Retry-After`",
    "500": "Internal error",
    "502": "The engine failed, or its answer cannot be parsed",
    "503": "The engine does not answer, or the service is shutting down; retry after `Retry-After`",
    "504": "The deadline has passed",
}
_CONFLICTS = {
    "404": "Nothing has this name or id",
    "409": "Conflict with another change, or with the current state",
}
_BINARY = {"type": "string", "format": "binary"}
_BODIES: dict[str, tuple[type[BaseModel], dict[str, Any]]] = {
    "/caption": (CaptionIn, {"photo": _BINARY}),
    "/stage-a": (StageAIn, {"mission": {"type": "string"}, "photos": {"type": "array", "items": _BINARY}}),
    "/stage-b/groups": (TicketIn, {"group": {"type": "string"}, "photos": {"type": "array", "items": _BINARY}}),
}

_ONE_SHOT = frozenset({"/caption", "/stage-a"})
"""Paths without names or state: they cannot return 404 or 409."""


def document(app: FastAPI) -> dict[str, Any]:
    """The complete document of ``app``."""
    spec = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
    schemas = spec["components"]["schemas"]
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    for model in (Problem, PhotoIn, CaptionIn, StageAIn, StreamedObject, TicketPhotoIn, TicketIn, TicketEventOut):
        schema = model.model_json_schema(ref_template=_REF)
        schema.pop("$defs", None)
        schemas[model.__name__] = schema
    spec["components"]["securitySchemes"] = {
        "api_key": {"type": "http", "scheme": "bearer", "description": "An API key, `vqc_<id>_<secret>`."}
    }
    for path, operations in spec["paths"].items():
        for method, operation in operations.items():
            _complete(method, path, operation)
    return spec


def _complete(method: str, path: str, operation: dict[str, Any]) -> None:
    """Adds body, errors and security to one operation."""
    responses = operation["responses"]
    responses.pop("422", None)
    if path in PUBLIC_PATHS:
        if path.startswith("/readyz"):
            responses["503"] = {**responses["200"], "description": "Not ready; `reasons` say why"}
        if path == "/metrics":
            responses["200"]["content"] = {"text/plain": {"schema": {"type": "string"}}}
        return
    operation["security"] = [{"api_key": []}]
    for status, description in _ERRORS.items():
        responses[status] = {"description": description, "content": _PROBLEM}
    if path not in _ONE_SHOT:
        responses |= {status: {"description": text, "content": _PROBLEM} for status, text in _CONFLICTS.items()}
    if path.endswith("/events"):
        responses["200"]["content"] = {"text/event-stream": {"schema": {"type": "string"}}}
        responses["204"] = {"description": "The run has ended; no events are left"}
    if method != "post" or path not in _BODIES:
        return
    model, form = _BODIES[path]
    schema = {"type": "object", "properties": form, "required": list(form), "additionalProperties": False}
    operation["requestBody"] = {
        "required": True,
        "content": {
            "application/json": {"schema": {"$ref": _REF.format(model=model.__name__)}},
            "multipart/form-data": {"schema": schema},
        },
    }
    if path == "/caption":
        responses["200"]["content"]["image/png"] = {"schema": _BINARY}
        responses["200"]["content"]["text/event-stream"] = {"schema": {"type": "string"}}
