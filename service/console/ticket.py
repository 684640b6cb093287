"""One ticket: its photos, the machine's judgement and the reasons for review; a person's decision, and undo."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Annotated, Literal

from fastapi import APIRouter, Form, Path, Query, Request
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from engine.protocol import DecodingParams
from service.console.access import require_view
from service.console.explanation import explain
from service.console.filters import QueueFilters
from service.console.render import page
from service.console.sign import remember_name
from service.console.tryit import count_work
from service.photos import answers
from service.photos.pictures import Picture
from service.photos.services import photo_services
from service.platform.audit_log import Action
from service.platform.errors import BlobMissing, ReviewConflict
from service.tickets.audit import record_decision
from service.tickets.review_queue import place
from service.tickets.services import ticket_services
from service.tickets.ticket import Ticket, TicketPhoto
from service.web.audit import record
from service.web.auth import Scope, caller_of, require
from service.web.disconnect import while_connected
from service.web.services import web_services
from vqc.verdict import Verdict

router = APIRouter(prefix="/console/tickets")

TicketId = Annotated[str, Path(pattern="^[0-9a-f]{1,64}$")]
Digest = Annotated[str, Path(pattern="^[0-9a-f]{64}$")]
Wanted = Annotated[QueueFilters, Query()]
_PHOTO_HEADERS = {
    "Cache-Control": "private, max-age=31536000, immutable",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Content-Disposition": "inline",
}


@router.get("/{group_id}")
async def show(request: Request, group_id: TicketId, filters: Wanted) -> Response:
    """The ticket; with an undo if another ticket was decided just before."""
    require_view(request)
    services = ticket_services(request)
    ticket = await services.store.get(group_id)
    shown = [photo.digest for photo in ticket.photos if photo.digest]
    await record(request, Action.TICKET_VIEWED, ticket=group_id, photos=shown)
    before = await services.store.get(filters.decided) if filters.decided else None
    behind = await services.waiting.page(filters.review_query, after=place(ticket), limit=1)
    return page(
        request,
        "ticket.html",
        ticket=ticket,
        explanation=explain(ticket),
        before=before,
        next=behind.tickets[0].id if behind.tickets else None,
        filters=filters,
        may_decide=Scope.REVIEW in caller_of(request).scopes,
        may_caption=Scope.CAPTION in caller_of(request).scopes,
        verdicts=list(Verdict),
    )


@router.post("/{group_id}/decision")
async def decide(
    request: Request,
    group_id: TicketId,
    filters: Wanted,
    verdict: Annotated[Verdict, Form()],
    revision: Annotated[int, Form(ge=0)],
    name: Annotated[str, Form(max_length=128)] = "",
    note: Annotated[str, Form(max_length=2000)] = "",
) -> Response:
    """Saves the decision and redirects to the next ticket, or shows the conflicting decision of another reviewer."""
    require(request, Scope.REVIEW)
    services = ticket_services(request)
    ticket = await services.store.get(group_id)
    behind = await services.waiting.page(filters.review_query, after=place(ticket), limit=2)
    caller = caller_of(request)
    given = {"verdict": verdict, "name": caller.name_on_record(name), "note": note.strip()}
    try:
        decided = await services.manage.review(group_id, by=caller.key_id, revision=revision, **given)  # type: ignore[arg-type]
    except ReviewConflict:
        return page(
            request,
            "conflict.html",
            409,
            ticket=await services.store.get(group_id),
            given=given,
            filters=filters,
            next=behind.tickets[0].id if behind.tickets else None,
        )
    await record_decision(request, decided)
    following = [one.id for one in behind.tickets if one.id != group_id]
    there = f"/console/tickets/{following[0]}" if following else "/console/queue"
    return remember_name(request, RedirectResponse(there + filters.query(decided=group_id), 303), given["name"])


@router.post("/{group_id}/undo")
async def undo(
    request: Request,
    group_id: TicketId,
    filters: Wanted,
    revision: Annotated[int, Form(ge=0)],
    name: Annotated[str, Form(max_length=128)] = "",
) -> Response:
    """Takes back a decision and shows the ticket, or shows the decision that another reviewer made since."""
    require(request, Scope.REVIEW)
    services, caller = ticket_services(request), caller_of(request)
    by = caller.name_on_record(name)
    try:
        undone = await services.manage.review(
            group_id, verdict=None, name=by, note="", by=caller.key_id, revision=revision
        )
    except ReviewConflict:
        now = await services.store.get(group_id)
        return page(request, "conflict.html", 409, ticket=now, given=None, filters=filters, next=None)
    await record_decision(request, undone)
    return RedirectResponse(f"/console/tickets/{group_id}{filters.query()}", 303)


@router.get("/{group_id}/photos/{digest}")
async def photo(request: Request, group_id: TicketId, digest: Digest) -> Response:
    """A photo of the ticket in full size, upright. Photos of other tickets are not served."""
    return await _picture(request, group_id, digest, ticket_services(request).pictures.whole)


@router.get("/{group_id}/photos/{digest}/thumbnail")
async def thumbnail(request: Request, group_id: TicketId, digest: Digest) -> Response:
    """The thumbnail of a photo of the ticket."""
    return await _picture(request, group_id, digest, ticket_services(request).pictures.thumbnail)


@router.post("/{group_id}/photos/{digest}/objects")
async def objects(request: Request, group_id: TicketId, digest: Digest) -> Response:
    """The objects of a photo by the active model, in the format of ``POST /caption``. Scope ``caption``."""
    require_view(request)
    require(request, Scope.CAPTION)
    await count_work(request)
    started, photos = perf_counter(), photo_services(request)
    _photo_of(await ticket_services(request).store.get(group_id), digest)
    data, request_id = await _bytes(request, digest), str(request.scope["vqc_request_id"])
    decoding = DecodingParams(max_new_tokens=photos.defaults.caption_max_new_tokens)
    with web_services(request).admission.admit():
        captioning = photos.caption(data, request_id=request_id, decoding=decoding, timeout_s=photos.defaults.timeout_s)
        result = await while_connected(request, captioning)
    coordinates: Literal["norm1000"] = "norm1000"
    total_ms = (perf_counter() - started) * 1000
    out = answers.caption_out(result, request_id=request_id, coordinates=coordinates, total_ms=total_ms)
    return Response(out.model_dump_json(exclude_none=True), media_type="application/json")


def _photo_of(ticket: Ticket, digest: str) -> TicketPhoto:
    for one in ticket.photos:
        if one.digest == digest:
            return one
    raise HTTPException(404)


async def _picture(request: Request, group_id: str, digest: str, read: Callable[[str], Awaitable[Picture]]) -> Response:
    require_view(request)
    _photo_of(await ticket_services(request).store.get(group_id), digest)
    try:
        picture = await read(digest)
    except BlobMissing as error:
        raise HTTPException(404, str(error)) from error
    await record(request, Action.PHOTO_VIEWED, ticket=group_id, photo=digest)
    return Response(picture.data, media_type=picture.media_type, headers=_PHOTO_HEADERS)


async def _bytes(request: Request, digest: str) -> bytes:
    try:
        return await ticket_services(request).blobs.get(digest)
    except BlobMissing as error:
        raise HTTPException(404, str(error)) from error
