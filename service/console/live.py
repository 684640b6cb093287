"""What the service is doing now: tickets by state, the queue, the engine, and the dead letters with their retry."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Form, Query, Request
from starlette.responses import RedirectResponse, Response

from service.console.looking import require_look
from service.console.render import page
from service.models.services import model_services
from service.platform.errors import QueueUnavailable
from service.tickets.ports import QueueDepth
from service.tickets.services import optional_ticket_services, ticket_services
from service.tickets.store import Page
from service.tickets.ticket import State
from service.web.auth import Scope, caller_of, require
from service.web.services import web_services

router = APIRouter(prefix="/console/live")
_DEAD, _AT_WORK = 25, 10
TicketId = Annotated[str, Form(pattern="^[0-9a-f]{1,64}$")]


@router.get("")
async def show(request: Request, after: Annotated[str | None, Query(pattern="^[0-9a-f]{1,64}$")] = None) -> Response:
    """The numbers, and a page of the dead letters, oldest first."""
    require_look(request)
    return page(
        request,
        "live.html",
        paged=after is not None,
        grafana_url=request.app.state.grafana_url,
        may_retry=Scope.STAGE_B in caller_of(request).scopes,
        **await _numbers(request, after),
    )


@router.get("/numbers")
async def numbers(request: Request) -> Response:
    """The numbers alone: what the page asks for again and again."""
    require_look(request)
    return page(request, "live_numbers.html", **await _numbers(request))


@router.post("/retry")
async def retry(request: Request, group: TicketId) -> Response:
    """Back to the page, with the dead letter queued again. Scope ``stage-b``."""
    require(request, Scope.STAGE_B)
    await ticket_services(request).manage.retry(group, caller_of(request).key_id)
    return RedirectResponse("/console/live", 303)


async def _numbers(request: Request, after: str | None = None) -> dict[str, Any]:
    """What the template shows; a queue that does not answer is a line of its own, not an error page."""
    models, admission = model_services(request).router, web_services(request).admission
    health = await models.health()
    shown: dict[str, Any] = {
        "ready": health.ready and not admission.draining,
        "reason": health.reason,
        "restarts": health.restarts,
        "model": models.model,
        "in_flight": admission.in_flight,
        "limit": admission.limit,
        "states": [],
        "depth": None,
        "at_work": (),
        "dead": Page(tickets=(), after=None),
        "queue_problem": None,
    }
    desk = optional_ticket_services(request)
    if desk is None:
        return shown
    try:
        counts = await desk.store.counts()
        depth: QueueDepth = await desk.queue.depth()
        at_work = await desk.store.page(State.RUNNING, after=None, limit=_AT_WORK)
        dead = await desk.store.page(State.FAILED, after=after, limit=_DEAD)
    except QueueUnavailable as error:
        return {**shown, "queue_problem": str(error)}
    states = [(state.value, counts[state]) for state in State]
    return {**shown, "states": states, "depth": depth, "at_work": at_work.tickets, "dead": dead}
