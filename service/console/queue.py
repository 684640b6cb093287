"""The queue of tickets that wait for a person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from service.console.looking import AGES, Filters, require_look
from service.console.render import page
from service.tickets.review import Risk, Shelf, risk_of
from service.tickets.services import ticket_services
from vqc.missions import missions

router = APIRouter(prefix="/console/queue")
PAGE = 25


@router.get("")
async def show(request: Request, filters: Annotated[Filters, Query()]) -> Response:
    """A page of the queue, the riskiest or the oldest first."""
    require_look(request)
    desk = ticket_services(request)
    found = await desk.waiting.page(filters.wanted, after=filters.after, limit=PAGE)
    shelves = await desk.store.shelves()
    models = {shelf.model for shelf in shelves if shelf.model and shelf.mission is None and shelf.risk is None}
    return page(
        request,
        "queue.html",
        tickets=[(ticket, risk_of(ticket.outcome)) for ticket in found.tickets if ticket.outcome],
        total=found.total,
        before=await desk.store.get(filters.decided) if filters.decided else None,
        next=filters.query(after=found.after) if found.after else None,
        first=filters.query() if filters.after else None,
        filters=filters,
        missions=list(missions()),
        models=sorted(models | ({filters.model} if filters.model else set())),
        ages=list(AGES),
        counts=_counts(shelves, filters),
        risks=list(Risk),
    )


@router.get("/counts")
async def counts(request: Request, filters: Annotated[Filters, Query()]) -> Response:
    """How many wait, by risk: what the page asks for again and again."""
    require_look(request)
    shelves = await ticket_services(request).store.shelves()
    return page(request, "queue_counts.html", counts=_counts(shelves, filters), filters=filters, risks=list(Risk))


def _counts(shelves: Mapping[Shelf, int], filters: Filters) -> dict[str, int]:
    """How many wait of the mission and model looked at, in all and by risk; whatever their age."""
    mission, model = filters.mission, filters.model
    return {risk or "all": shelves.get(Shelf(mission=mission, model=model, risk=risk), 0) for risk in (None, *Risk)}
