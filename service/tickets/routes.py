"""The routes of submitted tickets."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Body, Header, Path, Query, Request
from starlette.responses import Response

from service.photos.services import photo_services
from service.platform.audit_log import Action
from service.tickets.audit import record_decision
from service.tickets.bodies import read_submission
from service.tickets.events import event_pages
from service.tickets.schemas import (
    PRINTABLE,
    ReviewIn,
    TicketOut,
    TicketsOut,
    TicketsQuery,
    ticket_brief,
    ticket_out,
)
from service.tickets.services import ticket_services
from service.tickets.ticket import Ticket
from service.web.audit import record
from service.web.auth import Scope, caller_of, require
from service.web.disconnect import while_connected
from service.web.services import web_services
from service.web.sse import event_stream

router = APIRouter(prefix="/stage-b/groups", tags=["tickets"])

TicketId = Annotated[str, Path(pattern="^[0-9a-f]{1,64}$", description="The id in the ``Location`` of the submission.")]
Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        max_length=255,
        pattern=PRINTABLE,
        description="The same key with the same body returns the same ticket.",
    ),
]
LastEventId = Annotated[
    str | None,
    Header(alias="Last-Event-ID", pattern=r"^[0-9]{1,15}-[0-9]{1,15}$", description="Resumes behind this event."),
]


@router.post("", status_code=202, summary="Submit a ticket", response_model=TicketOut)
async def submit(request: Request, idempotency_key: Key = None) -> Response:
    """Accepts a ticket of 1 to 32 photos, each with its picture, its Stage-A line, or both.

    With 202 the ticket is stored and queued. ``Location`` is its address; ``…/events`` streams its progress.
    """
    require(request, Scope.STAGE_B)
    ticket = await read_submission(
        request, photo_services(request).fetch, caller=caller_of(request).key_id, key=idempotency_key
    )
    return _ticket_response(await while_connected(request, ticket_services(request).submit(ticket)), 202)


@router.get("", name="groups", summary="List tickets", response_model=TicketsOut)
async def list_tickets(request: Request, query: Annotated[TicketsQuery, Query()]) -> TicketsOut:
    """A page of the tickets in a state, oldest first; by default those that need a review."""
    require(request, Scope.STAGE_B)
    store = ticket_services(request).store
    page = await store.page(query.state, after=query.after, limit=query.limit)
    await record(request, Action.TICKETS_LISTED, state=query.state, after=query.after, tickets=len(page.tickets))
    again = {"state": query.state.value, "limit": query.limit, "after": page.after}
    return TicketsOut(
        state=query.state,
        total=(await store.counts())[query.state],
        groups=[ticket_brief(ticket) for ticket in page.tickets],
        next=f"{router.prefix}?{urlencode(again)}" if page.after else None,
    )


@router.get("/{group_id}", name="group", summary="Show a ticket", response_model=TicketOut)
async def show_ticket(request: Request, group_id: TicketId) -> Response:
    """State, verdict, evidence, every rollout, and the versions that the ticket was judged with."""
    require(request, Scope.STAGE_B)
    return _ticket_response(await ticket_services(request).store.get(group_id), 200)


@router.get("/{group_id}/events", summary="Stream the events of a ticket", response_class=Response)
async def events(request: Request, group_id: TicketId, last_event_id: LastEventId = None) -> Response:
    """Server-sent events, from the first or behind ``Last-Event-ID``, up to ``finished``, which ends the run.

    Returns 204 when the run has ended and no event is left, so that a browser's EventSource stops reconnecting.
    """
    require(request, Scope.STAGE_B)
    pages = await event_pages(ticket_services(request).store, group_id, last_event_id)
    if pages is None:
        return Response(status_code=204)
    return event_stream(request, pages, {}, stop=web_services(request).admission.drain_begun)


@router.delete("/{group_id}", summary="Cancel a ticket", response_model=TicketOut)
async def cancel(request: Request, group_id: TicketId) -> Response:
    """Cancels a ticket that has no final record yet and aborts its generation."""
    require(request, Scope.STAGE_B)
    ticket = await ticket_services(request).manage.cancel(group_id, caller_of(request).key_id)
    await record(request, Action.TICKET_CANCELLED, ticket=group_id)
    return _ticket_response(ticket, 200)


@router.post("/{group_id}/retry", status_code=202, summary="Retry a ticket", response_model=TicketOut)
async def retry(request: Request, group_id: TicketId) -> Response:
    """Queues a failed or cancelled ticket again. Saved lines and rollouts are reused."""
    require(request, Scope.STAGE_B)
    ticket = await ticket_services(request).manage.retry(group_id, caller_of(request).key_id)
    await record(request, Action.TICKET_RETRIED, ticket=group_id)
    return _ticket_response(ticket, 202)


@router.post("/{group_id}/review", summary="Review a ticket", response_model=TicketOut)
async def review(request: Request, group_id: TicketId, body: Annotated[ReviewIn, Body()]) -> Response:
    """Saves a person's verdict with name, note, key and time. Needs the scope ``review``.

    The name is the holder of the API key; ``name`` in the body counts only where the service has no keys.
    """
    require(request, Scope.REVIEW)
    caller = caller_of(request)
    ticket = await ticket_services(request).manage.review(
        group_id,
        verdict=body.verdict,
        name=caller.name_on_record(body.name),
        note=body.note,
        by=caller.key_id,
        revision=body.revision,
    )
    await record_decision(request, ticket)
    return _ticket_response(ticket, 200)


def _ticket_response(ticket: Ticket, status: int) -> Response:
    headers = {"Location": f"{router.prefix}/{ticket.id}"} if status == 202 else {}
    if ticket.pinned:
        headers["X-Vqc-Model"] = f"{ticket.pinned.model_alias}@{ticket.pinned.model_digest}"
    return Response(ticket_out(ticket).model_dump_json(), status, headers, media_type="application/json")
