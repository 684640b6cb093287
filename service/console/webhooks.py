"""Webhook deliveries: which receivers accepted, and sending one again."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Query, Request
from starlette.responses import RedirectResponse, Response

from service.console.render import page
from service.platform.audit_log import Action
from service.tickets.deliveries import DeliveryState
from service.tickets.services import ticket_services
from service.tickets.webhook_routes import DELIVERY_ID
from service.web.audit import record
from service.web.auth import Scope, require

router = APIRouter(prefix="/console/webhooks")
_PAGE = 50


@router.get("")
async def show(
    request: Request,
    state: DeliveryState | None = None,
    after: Annotated[str | None, Query(pattern=DELIVERY_ID)] = None,
    sent: Annotated[str | None, Query(pattern=DELIVERY_ID)] = None,
) -> Response:
    """A page of deliveries, newest ticket first; ``sent`` is the one that was just queued again. Scope ``stage-b``."""
    require(request, Scope.STAGE_B)
    found = await ticket_services(request).deliveries.page(state, after=after, limit=_PAGE)
    return page(
        request,
        "webhooks.html",
        deliveries=found.deliveries,
        after=found.after,
        paged=after is not None,
        state=state,
        states=list(DeliveryState),
        sent=sent,
    )


@router.post("/resend")
async def resend(request: Request, delivery: Annotated[str, Form(pattern=DELIVERY_ID)]) -> Response:
    """Queues the webhook again, and redirects to the page."""
    require(request, Scope.STAGE_B)
    services = ticket_services(request)
    ticket = (await services.deliveries.get(delivery)).ticket
    await services.manage.resend_webhook(delivery)
    await record(request, Action.WEBHOOK_SENT_AGAIN, webhook=delivery, ticket=ticket)
    return RedirectResponse(f"/console/webhooks?sent={delivery}", 303)
