"""The review queue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from service.console.access import require_view
from service.console.filters import AGES, QueueFilters
from service.console.render import page
from service.tickets.review import ReviewFacet, Risk, risk_of
from service.tickets.services import ticket_services
from vqc.missions import missions

router = APIRouter(prefix="/console/queue")
PAGE = 25


@router.get("")
async def show(request: Request, filters: Annotated[QueueFilters, Query()]) -> Response:
    """A page of the queue, highest risk or oldest first."""
    require_view(request)
    services = ticket_services(request)
    found = await services.waiting.page(filters.review_query, after=filters.after, limit=PAGE)
    facets = await services.store.facet_counts()
    models = {facet.model for facet in facets if facet.model and facet.mission is None and facet.risk is None}
    return page(
        request,
        "queue.html",
        tickets=[(ticket, risk_of(ticket.outcome)) for ticket in found.tickets if ticket.outcome],
        total=found.total,
        before=await services.store.get(filters.decided) if filters.decided else None,
        next=filters.query(after=found.after) if found.after else None,
        first=filters.query() if filters.after else None,
        filters=filters,
        missions=list(missions()),
        models=sorted(models | ({filters.model} if filters.model else set())),
        ages=list(AGES),
        counts=_counts(facets, filters),
        risks=list(Risk),
    )


@router.get("/counts")
async def counts(request: Request, filters: Annotated[QueueFilters, Query()]) -> Response:
    """The number of waiting tickets by risk, which the page polls."""
    require_view(request)
    facets = await ticket_services(request).store.facet_counts()
    return page(request, "queue_counts.html", counts=_counts(facets, filters), filters=filters, risks=list(Risk))


def _counts(facets: Mapping[ReviewFacet, int], filters: QueueFilters) -> dict[str, int]:
    """The number of waiting tickets of the filtered mission and model, in all and by risk; the age filter is ignored."""
    mission, model = filters.mission, filters.model
    return {
        risk or "all": facets.get(ReviewFacet(mission=mission, model=model, risk=risk), 0) for risk in (None, *Risk)
    }
