"""The name of the person who acts, for records."""

from __future__ import annotations

from starlette.requests import Request

from service.console.render import visit_of
from service.web.auth import caller_of


def actor_of(request: Request) -> str:
    """The holder and the id of the key that signed in; without keys the name that the person entered, or ``anonymous``."""
    caller = caller_of(request)
    return caller.actor if caller.key_id else visit_of(request).entered_name or caller.actor
