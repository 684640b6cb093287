"""Reads the photos of a request: JSON with base64 or URLs, or multipart."""

from __future__ import annotations

from starlette.requests import Request

from service.photos.reader import FetchPhoto, PhotoSource
from service.photos.schemas import CaptionIn, StageAIn
from service.photos.stage_a import MAX_PHOTOS
from service.platform.errors import UnsupportedBody
from service.web.bodies import content_type, decode_base64, form_of, json_body, uploads_of
from service.web.disconnect import while_connected
from service.web.schemas import PhotoIn
from vqc.errors import InvalidValue


async def caption_photo(request: Request, fetch: FetchPhoto) -> bytes:
    """The encoded photo of a caption request. Raises ``InvalidValue``; for a URL also ``FetchFailed`` or ``ClientGone``."""
    match content_type(request):
        case "application/json":
            photo = (await json_body(request, CaptionIn)).photo
            if photo.url is not None:
                return await while_connected(request, fetch(photo.url))
            return await decode_base64(photo.base64 or "", "photo.base64")
        case "multipart/form-data":
            async with form_of(request, max_files=1) as form:
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
            async with form_of(request, max_files=MAX_PHOTOS) as form:
                uploads = uploads_of(form, "photos", {"mission", "photos"})
                mission = form.get("mission")
                if not isinstance(mission, str):
                    raise InvalidValue("mission", mission, "must be a text field")
                return mission, [(upload.filename, source_from(await upload.read())) for upload in uploads]
        case other:
            raise UnsupportedBody(other)


def source_from(data: bytes) -> PhotoSource:
    """The source of a photo whose bytes are known."""

    async def read() -> bytes:
        return data

    return read


def source_of(photo: PhotoIn, field: str, fetch: FetchPhoto) -> PhotoSource:
    """The source of a photo in a JSON body; ``field`` is its place there."""

    async def read() -> bytes:
        if photo.url is not None:
            return await fetch(photo.url)
        return await decode_base64(photo.base64 or "", f"{field}.base64")

    return read
