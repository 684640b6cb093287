"""The name of the person who acts, for records."""

from __future__ import annotations

from starlette.requests import Request

from service.console.render import visit_of
from service.web.auth import caller_of


def actor_of(request: Request) -> str:
    """The name that the person entered and the id of their key; ``anonymous`` without either."""
    name, key_id = visit_of(request).session.name, caller_of(request).key_id
    if name and key_id:
        return f"{name} ({key_id})"
    return name or key_id or "anonymous"
