"""Results as wire models, and the headers of every response."""

from __future__ import annotations

from service.models.roles import ServedModel
from service.photos.results import CaptionResult, PhotoAnswer, PhotoFailure, StageAResult, Timings
from service.photos.schemas import (
    CaptionOut,
    Coordinates,
    ObjectOut,
    PhotoOut,
    StageAOut,
    StageAPhotoOut,
    StreamedObject,
    TimingsOut,
    UsageOut,
)
from service.web.problems import problem_of
from service.web.schemas import ModelOut
from vqc.answer_words import AnswerWords
from vqc.caption import CaptionObject
from vqc.codec import as_dict, objects_by_key
from vqc.geometry import SizeWH
from vqc.image import CanonicalPhoto
from vqc.summary import SummaryOutcome, render


def caption_out(result: CaptionResult, *, request_id: str, coordinates: Coordinates, total_ms: float) -> CaptionOut:
    """The response of ``POST /caption``."""
    answer, caption = result.answer, result.answer.outcome.caption
    assert caption is not None  # a malformed answer was raised
    objects = [in_space(item, coordinates, answer.photo.size_wh) for item in caption.objects]
    return CaptionOut(
        request_id=request_id,
        model=model_out(result.model),
        prompt_digest=result.prompt_digest,
        photo=_photo_out(answer.photo),
        coordinates=coordinates,
        caption={key: ObjectOut.model_validate(value) for key, value in objects_by_key(objects).items()},
        status=answer.outcome.status.value,  # type: ignore[arg-type]
        truncated=answer.outcome.truncated,
        notes=list(answer.outcome.notes),
        cached=answer.cached,
        usage=UsageOut(prompt_tokens=answer.prompt_tokens, completion_tokens=answer.completion_tokens),
        timings=_timings_out(answer.timings, total_ms),
    )


def streamed_object(n: int, item: CaptionObject, coordinates: Coordinates, size_wh: SizeWH) -> StreamedObject:
    """One SSE ``object`` event."""
    return StreamedObject(n=n, object=ObjectOut.model_validate(as_dict(in_space(item, coordinates, size_wh))))


def stage_a_out(
    result: StageAResult,
    names: list[str | None],
    *,
    request_id: str,
    total_ms: float,
) -> StageAOut:
    """The response of ``POST /stage-a``."""
    entries = zip(names, result.photos, strict=True)
    return StageAOut(
        request_id=request_id,
        model=model_out(result.model),
        prompt_digest=result.prompt_digest,
        mission=result.mission.name,
        trained=result.mission.name not in result.model.untrained,
        photos=[
            _stage_a_photo(f"image_{n}", name, entry, result.mission.words)
            for n, (name, entry) in enumerate(entries, start=1)
        ],
        timings_ms=round(total_ms, 1),
    )


def headers(
    model: ServedModel, prompt_digest: str, timings: dict[str, float], *, cached: bool = False
) -> dict[str, str]:
    """The headers that name model, prompt and timings (milliseconds), and mark a cached answer."""
    return {
        **model_header(model),
        "X-Vqc-Prompt-Digest": prompt_digest,
        "Server-Timing": ", ".join(f"{name};dur={ms:.1f}" for name, ms in timings.items()),
        **({"X-Vqc-Cached": "true"} if cached else {}),
    }


def model_header(model: ServedModel) -> dict[str, str]:
    """The header that names the model."""
    return {"X-Vqc-Model": f"{model.alias}@{model.digest}"}


def model_out(model: ServedModel) -> ModelOut:
    """The served model on the wire."""
    return ModelOut(alias=model.alias, digest=model.digest)


def in_space(item: CaptionObject, coordinates: Coordinates, size_wh: SizeWH) -> CaptionObject:
    """A norm1000 object in the requested space; pixels are those of the upright photo, to a tenth."""
    if coordinates == "norm1000":
        return item
    pixels = item.to_pixels(size_wh)
    shape = type(pixels.shape)(pixels.shape.kind, tuple(round(v, 1) for v in pixels.shape.xy))
    return CaptionObject(shape=shape, desc=item.desc)


def _stage_a_photo(
    image_id: str, name: str | None, entry: PhotoAnswer[SummaryOutcome] | PhotoFailure, words: AnswerWords
) -> StageAPhotoOut:
    if isinstance(entry, PhotoFailure):
        return StageAPhotoOut(image_id=image_id, name=name, problem=problem_of(entry.error))
    assert entry.outcome.summary is not None  # a malformed answer was raised
    return StageAPhotoOut(
        image_id=image_id,
        name=name,
        summary=render(entry.outcome.summary, words),
        status=entry.outcome.status.value,  # type: ignore[arg-type]
        notes=list(entry.outcome.notes),
        cached=entry.cached,
        photo=_photo_out(entry.photo),
        usage=UsageOut(prompt_tokens=entry.prompt_tokens, completion_tokens=entry.completion_tokens),
        timings=_timings_out(entry.timings),
    )


def _photo_out(photo: CanonicalPhoto) -> PhotoOut:
    width, height = photo.size_wh
    return PhotoOut(width=width, height=height, digest=photo.digest, passed_through=photo.passed_through)


def _timings_out(timings: Timings, total_ms: float | None = None) -> TimingsOut:
    return TimingsOut(
        photo_ms=round(timings.photo_ms, 2),
        engine_ms=round(timings.engine_ms, 1),
        total_ms=None if total_ms is None else round(total_ms, 1),
    )
