"""The state of the service: the engine, tickets by state, the job queue, and dead letters with a retry."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Form, Query, Request
from starlette.responses import RedirectResponse, Response

from service.console.access import require_view
from service.console.recent import Recent
from service.console.render import page
from service.models.services import model_services
from service.platform.audit_log import Action
from service.platform.errors import QueueUnavailable
from service.tickets.ports import QueueDepth
from service.tickets.services import optional_ticket_services, ticket_services
from service.tickets.store import TicketPage
from service.tickets.ticket import State
from service.web.audit import record
from service.web.auth import Scope, caller_of, require
from service.web.services import web_services

router = APIRouter(prefix="/console/live")
_MAX_FAILED, _MAX_RUNNING = 25, 10
TicketId = Annotated[str, Form(pattern="^[0-9a-f]{1,64}$")]


@router.get("")
async def show(request: Request, after: Annotated[str | None, Query(pattern="^[0-9a-f]{1,64}$")] = None) -> Response:
    """The numbers and a page of dead letters, oldest first."""
    require_view(request)
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
    """The numbers alone, which the page polls."""
    require_view(request)
    recent: Recent[dict[str, Any]] = request.app.state.live_numbers
    return page(request, "live_numbers.html", **await recent.get(lambda: _numbers(request)))


@router.post("/retry")
async def retry(request: Request, group: TicketId) -> Response:
    """Queues a dead letter again, and redirects to the page. Scope ``stage-b``."""
    require(request, Scope.STAGE_B)
    await ticket_services(request).manage.retry(group, caller_of(request).key_id)
    await record(request, Action.TICKET_RETRIED, ticket=group)
    return RedirectResponse("/console/live", 303)


async def _numbers(request: Request, after: str | None = None) -> dict[str, Any]:
    """The values of the template. An unavailable queue is a value of its own, not an error page."""
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
        "running": (),
        "failed": TicketPage(tickets=(), after=None),
        "queue_problem": None,
    }
    services = optional_ticket_services(request)
    if services is None:
        return shown
    try:
        counts = await services.store.counts()
        depth: QueueDepth = await services.queue.depth()
        running = await services.store.page(State.RUNNING, after=None, limit=_MAX_RUNNING)
        failed = await services.store.page(State.FAILED, after=after, limit=_MAX_FAILED)
    except QueueUnavailable as error:
        return {**shown, "queue_problem": str(error)}
    states = [(state.value, counts[state]) for state in State]
    return {**shown, "states": states, "depth": depth, "running": running.tickets, "failed": failed}
