"""Routes: captions and Stage-A lines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from time import perf_counter
from typing import Annotated, cast

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel
from starlette.responses import Response

from engine.protocol import DecodingParams
from service.photos import answers
from service.photos.bodies import caption_photo, stage_a_photos
from service.photos.overlay import overlay_png
from service.photos.results import CaptionResult, CaptionStart
from service.photos.schemas import CaptionOut, CaptionQuery, StageAOut
from service.photos.services import PhotoServices, photo_services
from service.web.auth import Scope, require
from service.web.disconnect import while_connected
from service.web.problems import problem_of
from service.web.schemas import DecodingIn
from service.web.sse import event, event_stream
from vqc.caption import CaptionObject
from vqc.errors import InvalidValue, VqcError
from vqc.image import CanonicalPhoto
from vqc.missions import mission_named

router = APIRouter()


@router.post("/caption", summary="Caption a photo", tags=["inspection"], response_model=CaptionOut)
async def caption(request: Request, query: Annotated[CaptionQuery, Query()]) -> Response:
    """Returns every object of a photo with its box, quad or line and its description.

    With ``Accept: text/event-stream`` the response is a stream: an ``object`` event for each object as soon as it is
    complete, then a ``done`` event with the whole response, or an ``error`` event with a problem. ``render=overlay`` returns
    a picture with the objects drawn on it.
    """
    started, services = perf_counter(), photo_services(request)
    require(request, Scope.CAPTION)
    streamed = "text/event-stream" in request.headers.get("accept", "")
    if streamed and query.render == "overlay":
        raise InvalidValue("render", "overlay", "an event stream carries JSON; drop render or the Accept header")
    decoding, timeout_s = _decoding(query, services, services.defaults.caption_max_new_tokens)
    request_id: str = request.scope["vqc_request_id"]
    data = await caption_photo(request, services.fetch)
    if streamed:
        parts = services.caption.stream(data, request_id=request_id, decoding=decoding, timeout_s=timeout_s)
        start = cast(CaptionStart, await while_connected(request, anext(parts)))
        # The first object is awaited before the response starts: an engine that rejects the photo still sets the HTTP status.
        first = await while_connected(request, anext(parts))
        events = _caption_events(request_id, query, started, start.photo, first, parts)
        return event_stream(request, events, answers.model_header(start.model))
    result = await while_connected(
        request, services.caption(data, request_id=request_id, decoding=decoding, timeout_s=timeout_s)
    )
    total_ms = _ms_since(started)
    timings = {"photo": result.answer.timings.photo_ms, "engine": result.answer.timings.engine_ms, "total": total_ms}
    headers = answers.headers(result.model, result.prompt_digest, timings, cached=result.answer.cached)
    if query.render == "overlay":
        return Response(await asyncio.to_thread(overlay_png, result), media_type="image/png", headers=headers)
    return _json(
        answers.caption_out(
            result,
            request_id=request_id,
            coordinates=query.coordinates,
            total_ms=total_ms,
        ),
        headers,
    )


@router.post("/stage-a", summary="Summarise the photos of a ticket", tags=["inspection"], response_model=StageAOut)
async def stage_a(request: Request, query: Annotated[DecodingIn, Query()]) -> Response:
    """Returns one Chinese line for each of 1 to 16 photos of a mission, in the order given.

    A photo that cannot be used gets a ``problem`` instead of its line; the others get their lines.
    """
    started, services = perf_counter(), photo_services(request)
    require(request, Scope.STAGE_A)
    decoding, timeout_s = _decoding(query, services, services.defaults.stage_a_max_new_tokens)
    name, photos = await stage_a_photos(request, services.fetch)
    mission, request_id = mission_named(name), request.scope["vqc_request_id"]
    result = await while_connected(
        request,
        services.stage_a(
            [source for _, source in photos],
            mission=mission,
            request_id=request_id,
            decoding=decoding,
            timeout_s=timeout_s,
        ),
    )
    total_ms = _ms_since(started)
    return _json(
        answers.stage_a_out(
            result,
            [photo_name for photo_name, _ in photos],
            request_id=request_id,
            total_ms=total_ms,
        ),
        answers.headers(result.model, result.prompt_digest, {"total": total_ms}),
    )


async def _caption_events(
    request_id: str,
    query: CaptionQuery,
    started: float,
    photo: CanonicalPhoto,
    part: CaptionStart | CaptionObject | CaptionResult,
    rest: AsyncGenerator[CaptionStart | CaptionObject | CaptionResult, None],
) -> AsyncGenerator[bytes, None]:
    """The events of one streamed caption."""
    n = 0
    try:
        while isinstance(part, CaptionObject):
            n += 1
            yield event("object", answers.streamed_object(n, part, query.coordinates, photo.size_wh))
            part = await anext(rest)
        yield event(
            "done",
            answers.caption_out(
                cast(CaptionResult, part),
                request_id=request_id,
                coordinates=query.coordinates,
                total_ms=_ms_since(started),
            ),
        )
    except VqcError as error:
        yield event("error", problem_of(error, request_id))
    finally:
        await rest.aclose()


def _decoding(query: DecodingIn, services: PhotoServices, max_new_tokens: int) -> tuple[DecodingParams, float]:
    decoding = DecodingParams(
        max_new_tokens=query.max_new_tokens or max_new_tokens,
        temperature=query.temperature,
        top_p=query.top_p,
        repetition_penalty=query.repetition_penalty,
        seed=query.seed,
    )
    return decoding, min(query.timeout_s or services.defaults.timeout_s, services.defaults.timeout_s)


def _json(body: BaseModel, headers: dict[str, str]) -> Response:
    return Response(body.model_dump_json(exclude_none=True), media_type="application/json", headers=headers)


def _ms_since(started: float) -> float:
    return (perf_counter() - started) * 1000
