"""Records in the audit log what a request did."""

from __future__ import annotations

import asyncio
from typing import cast

from starlette.requests import Request

from service.platform.audit_log import Action
from service.web.auth import Caller
from service.web.services import web_services


async def record(request: Request, action: Action, **fields: object) -> None:
    """Records that the caller of ``request`` did something. ``fields`` say to what: a ticket, a photo, a mission."""
    caller = cast("Caller | None", request.scope.get("vqc_caller"))
    # ``vqc_actor`` is the name that a person entered on a service without keys.
    entered = cast("str | None", request.scope.get("vqc_actor"))
    await asyncio.to_thread(
        web_services(request).audit.write,
        action,
        by=caller.name or None if caller and caller.key_id else entered or None,
        key=caller.key_id if caller else None,
        client=request.client.host if request.client else None,
        request_id=request.scope.get("vqc_request_id"),
        **fields,
    )
