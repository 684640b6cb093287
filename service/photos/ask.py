"""One photo, one prompt, one answer: what captioning and Stage-A share."""

from __future__ import annotations

from time import perf_counter

from opentelemetry.trace import get_tracer

from engine.protocol import DecodingParams, Delta, GenerateRequest, Generation
from service.models.observe import Observer, Task
from service.photos.reader import PhotoReader
from vqc.errors import PhotoRejected
from vqc.image import CanonicalPhoto
from vqc.parser import Status
from vqc.prompts import Prompt

_tracer = get_tracer("vqc.photos")


async def read_photo(reader: PhotoReader, data: bytes, observer: Observer) -> tuple[CanonicalPhoto, float]:
    """The canonical photo and the milliseconds it took. Raises ``PhotoRejected``."""
    started = perf_counter()
    try:
        with _tracer.start_as_current_span("read photo"):
            photo = await reader(data)
    except PhotoRejected as error:
        observer.photo_rejected(error.reason)
        raise
    seconds = perf_counter() - started
    observer.photo_read(seconds, passed_through=photo.passed_through)
    return photo, seconds * 1000


def photo_request(
    photo: CanonicalPhoto,
    prompt: Prompt,
    *,
    request_id: str,
    decoding: DecodingParams,
    grammar: str,
    priority: int,
    timeout_s: float,
) -> GenerateRequest:
    """The engine request that shows one photo with its prompt."""
    return GenerateRequest(
        request_id=request_id,
        system=prompt.system,
        user=prompt.parts([photo]),
        decoding=decoding,
        grammar=grammar,
        priority=priority,
        timeout_s=timeout_s,
    )


def answered(task: Task, seconds: float, status: Status, cost: Generation | Delta, observer: Observer) -> None:
    """Tells the observer of an answer that the engine has written; a cached one cost it nothing."""
    if not cost.cached:
        observer.answered(
            task,
            seconds,
            status=status,
            prompt_tokens=cost.prompt_tokens,
            completion_tokens=cost.completion_tokens,
        )
