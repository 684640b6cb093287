"""The permission to see the pages about tickets."""

from __future__ import annotations

from starlette.requests import Request

from service.platform.errors import Forbidden
from service.web.auth import Scope, caller_of

VIEW_SCOPES = frozenset({Scope.STAGE_B, Scope.REVIEW})
"""Either of these scopes allows looking at tickets."""


def require_view(request: Request) -> None:
    """Raises ``Forbidden`` unless the caller may look at tickets."""
    if not VIEW_SCOPES & caller_of(request).scopes:
        raise Forbidden("this page needs a key with the scope 'stage-b' or 'review'")
