"""Who did something, as records name them."""

from __future__ import annotations

from starlette.requests import Request

from service.console.render import visit_of
from service.web.auth import caller_of


def by(request: Request) -> str:
    """The name that the person gave, and the id of their key; ``anonymous`` where there is neither."""
    name, key_id = visit_of(request).session.name, caller_of(request).key_id
    if name and key_id:
        return f"{name} ({key_id})"
    return name or key_id or "anonymous"
