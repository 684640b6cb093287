"""The routes of webhook deliveries: which were accepted, and sending one again."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Path, Query, Request
from pydantic import Field

from service.platform.audit_log import Action
from service.tickets.deliveries import Delivery, DeliveryState
from service.tickets.services import ticket_services
from service.web.audit import record
from service.web.auth import Scope, require
from service.web.schemas import Wire

router = APIRouter(prefix="/stage-b/webhooks", tags=["tickets"])
DELIVERY_ID = r"^[0-9a-f]{1,64}\.[0-9]{1,9}$"
DeliveryId = Annotated[str, Path(pattern=DELIVERY_ID, description="The ``webhook-id`` that the receiver sees.")]


class DeliveriesQuery(Wire):
    """The query of ``GET /stage-b/webhooks``."""

    state: DeliveryState | None = Field(None, description="Only deliveries in this state.")
    limit: int = Field(50, ge=1, le=200)
    after: str | None = Field(None, pattern=DELIVERY_ID, description="The value in ``next`` of the page before.")


class DeliveryOut(Wire):
    """One delivery. ``id`` is the ``webhook-id`` that the receiver sees."""

    id: str
    group: str = Field(description="The id of the ticket.")
    host: str
    state: DeliveryState
    attempts: int
    at: datetime = Field(description="The time of the last attempt.")
    problem: str = Field(description="Why the last attempt failed; empty if it did not.")


class DeliveriesOut(Wire):
    """A page of deliveries, newest first; ``next`` is the address of the page behind it."""

    deliveries: list[DeliveryOut]
    next: str | None


@router.get("", summary="List webhook deliveries", response_model=DeliveriesOut)
async def deliveries(request: Request, query: Annotated[DeliveriesQuery, Query()]) -> DeliveriesOut:
    """The deliveries of webhooks, newest ticket first; kept as long as tickets."""
    require(request, Scope.STAGE_B)
    page = await ticket_services(request).deliveries.page(query.state, after=query.after, limit=query.limit)
    again = {"limit": query.limit, "after": page.after} | ({"state": query.state.value} if query.state else {})
    return DeliveriesOut(
        deliveries=[_delivery_out(one) for one in page.deliveries],
        next=f"{router.prefix}?{urlencode(again)}" if page.after else None,
    )


@router.post("/{delivery_id}/resend", status_code=202, summary="Send a webhook again", response_model=DeliveryOut)
async def resend(request: Request, delivery_id: DeliveryId) -> DeliveryOut:
    """Queues the webhook again, with the same ``webhook-id``. Returns 409 if the ticket has run again since."""
    require(request, Scope.STAGE_B)
    services = ticket_services(request)
    delivery = await services.deliveries.get(delivery_id)
    await services.manage.resend_webhook(delivery_id)
    await record(request, Action.WEBHOOK_SENT_AGAIN, webhook=delivery_id, ticket=delivery.ticket)
    return _delivery_out(delivery)


def _delivery_out(one: Delivery) -> DeliveryOut:
    return DeliveryOut(
        id=one.id,
        group=one.ticket,
        host=one.host,
        state=one.state,
        attempts=one.attempts,
        at=one.at,
        problem=one.problem,
    )
