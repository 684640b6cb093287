"""Reads request bodies: JSON with base64 or URLs, or multipart. Photos come out as sources, read when it is their turn."""

from __future__ import annotations

import binascii
import re
from collections.abc import Sequence
from typing import TypeVar

from pydantic import ValidationError
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request

from service.api.disconnect import while_connected
from service.api.problems import invalid_value
from service.api.schemas import CaptionIn, PhotoIn, StageAIn, Wire
from service.application.photos import FetchPhoto, PhotoSource
from service.application.stage_a import MAX_PHOTOS
from service.domain.errors import UnsupportedBody
from vqc.errors import InvalidValue

_DATA_URL = re.compile(r"data:image/[a-z+.-]+;base64,")
_BodyT = TypeVar("_BodyT", bound=Wire)


async def caption_photo(request: Request, fetch: FetchPhoto) -> bytes:
    """The encoded photo of a caption request. Raises ``InvalidValue`` and, for a URL, ``FetchFailed`` or ``ClientGone``."""
    match content_type(request):
        case "application/json":
            photo = (await json_body(request, CaptionIn)).photo
            if photo.url is not None:
                return await while_connected(request, fetch(photo.url))
            return decode_base64(photo.base64 or "", "photo.base64")
        case "multipart/form-data":
            async with request.form(max_files=1, max_fields=8) as form:
                return await uploads_of(form, "photo", {"photo"})[0].read()
        case other:
            raise UnsupportedBody(other)


async def stage_a_photos(request: Request, fetch: FetchPhoto) -> tuple[str, list[tuple[str | None, PhotoSource]]]:
    """The mission's name and the named photos of a Stage-A request. Raises ``InvalidValue``."""
    match content_type(request):
        case "application/json":
            body = await json_body(request, StageAIn)
            photos = [(item.name, source_of(item, f"photos.{n}", fetch)) for n, item in enumerate(body.photos)]
            return body.mission, photos
        case "multipart/form-data":
            async with request.form(max_files=MAX_PHOTOS, max_fields=8) as form:
                uploads = uploads_of(form, "photos", {"mission", "photos"})
                mission = form.get("mission")
                if not isinstance(mission, str):
                    raise InvalidValue("mission", mission, "must be a text field")
                return mission, [(upload.filename, given(await upload.read())) for upload in uploads]
        case other:
            raise UnsupportedBody(other)


def content_type(request: Request) -> str:
    """The body's media type, lower case, without parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def json_body(request: Request, kind: type[_BodyT]) -> _BodyT:
    """The JSON body. Raises ``InvalidValue``."""
    return parsed_json(b"".join([chunk async for chunk in request.stream()]), kind)  # body() would keep it


def parsed_json(text: bytes, kind: type[_BodyT]) -> _BodyT:
    """A JSON document. Raises ``InvalidValue``."""
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        raise invalid_value(error.errors(include_url=False, include_context=False)[0]) from error


def uploads_of(form: FormData, field: str, known: set[str]) -> Sequence[UploadFile]:
    """The files of one form field; nothing but known fields may be sent."""
    if unknown := set(form) - known:
        raise InvalidValue(sorted(unknown)[0], "a form field", f"known fields: {', '.join(sorted(known))}")
    uploads = form.getlist(field)
    if not uploads or not all(isinstance(upload, UploadFile) for upload in uploads):
        raise InvalidValue(field, uploads[:1], "must be sent as a file")
    return [upload for upload in uploads if isinstance(upload, UploadFile)]


def given(data: bytes) -> PhotoSource:
    """The source of a photo that is here."""

    async def read() -> bytes:
        return data

    return read


def source_of(photo: PhotoIn, field: str, fetch: FetchPhoto) -> PhotoSource:
    """The source of a photo of a JSON body; ``field`` is where it stands."""

    async def read() -> bytes:
        if photo.url is not None:
            return await fetch(photo.url)
        return decode_base64(photo.base64 or "", f"{field}.base64")

    return read


def decode_base64(text: str, field: str) -> bytes:
    """The bytes of strict base64, a data URL's prefix allowed.

    >>> decode_base64("data:image/png;base64,aGk=", "photo")
    b'hi'

    Raises:
        InvalidValue: characters outside the alphabet or wrong padding.
    """
    if match := _DATA_URL.match(text):
        text = text[match.end() :]
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except (binascii.Error, ValueError) as error:
        found = f"{len(text):,} characters"
        raise InvalidValue(field, found, f"must be standard base64 with padding: {error}") from error
