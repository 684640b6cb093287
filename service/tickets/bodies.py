"""Reads a submitted ticket from JSON (base64, URLs or summaries) or from multipart (files and a JSON part)."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request

from service.photos.bodies import source_from, source_of
from service.photos.reader import FetchPhoto
from service.platform.errors import UnsupportedBody
from service.tickets.schemas import TicketIn, TicketPhotoIn
from service.tickets.submit import Submission, SubmittedPhoto
from service.tickets.ticket import MAX_TICKET_PHOTOS
from service.web.bodies import content_type, form_of, json_body, parsed_json, uploads_of
from service.web.schemas import PhotoIn
from vqc.errors import InvalidValue
from vqc.missions import mission_named

_FIELDS = {"group", "mission", "photos"}


async def read_submission(request: Request, fetch: FetchPhoto, *, caller: str | None, key: str | None) -> Submission:
    """The ticket of a request. Photos of URLs are fetched later. Raises ``InvalidValue`` or ``UnsupportedBody``."""
    match content_type(request):
        case "application/json":
            body = await json_body(request, TicketIn)
            photos = [_from_json(photo, f"photos.{n}", fetch) for n, photo in enumerate(body.photos)]
        case "multipart/form-data":
            async with form_of(request, max_files=MAX_TICKET_PHOTOS) as form:
                body = _ticket_part(form)
                photos = await _from_form(form, body.photos)
        case other:
            raise UnsupportedBody(other)
    return Submission(
        mission=mission_named(body.mission),
        photos=photos,
        evidence=body.evidence,
        ticket_id=body.ticket_id,
        webhook=body.webhook,
        caller=caller,
        idempotency_key=key,
    )


def _ticket_part(form: FormData) -> TicketIn:
    """The JSON part ``group``, or the field ``mission`` alone."""
    ticket, mission = form.get("group"), form.get("mission")
    if isinstance(ticket, str) and mission is None:
        return parsed_json(ticket.encode(), TicketIn)
    if isinstance(mission, str) and ticket is None:
        return TicketIn.model_validate({"mission": mission})
    raise InvalidValue("group", None, "send either the part group (JSON text) or the field mission")


async def _from_form(form: FormData, described: Sequence[TicketPhotoIn]) -> list[SubmittedPhoto]:
    """The files in their order, with the summaries that the part ``group`` gives by file name."""
    uploads: Sequence[UploadFile] = uploads_of(form, "photos", _FIELDS)
    names = [upload.filename for upload in uploads]
    summaries: dict[str | None, str | None] = {}
    for n, photo in enumerate(described):
        if photo.base64 is not None or photo.url is not None:
            raise InvalidValue(f"photos.{n}", "base64 or url", "in multipart a photo is a file")
        if photo.name in summaries or names.count(photo.name) != 1:
            raise InvalidValue(f"photos.{n}.name", photo.name, f"must be the name of exactly one of the files: {names}")
        summaries[photo.name] = photo.summary
    return [
        SubmittedPhoto(
            name=upload.filename, source=source_from(await upload.read()), summary=summaries.get(upload.filename)
        )
        for upload in uploads
    ]


def _from_json(photo: TicketPhotoIn, field: str, fetch: FetchPhoto) -> SubmittedPhoto:
    source = None
    if photo.base64 is not None or photo.url is not None:
        source = source_of(PhotoIn(name=photo.name, base64=photo.base64, url=photo.url), field, fetch)
    return SubmittedPhoto(name=photo.name, source=source, summary=photo.summary)
