"""Use case: the dense caption of one photo, whole or object by object."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from time import perf_counter

from engine.protocol import DecodingParams, Delta
from service.models.roles import ServedModel
from service.models.router import ModelRouter
from service.photos.observe import PhotoObserver
from service.photos.reader import PhotoReader
from service.photos.results import CaptionResult, CaptionStart, PhotoAnswer
from service.photos.task import PhotoTask
from vqc.caption import CaptionObject
from vqc.grammar import CAPTION_GRAMMAR
from vqc.parser import CaptionOutcome, CaptionReader, parse
from vqc.prompts import dense_prompt

PRIORITY = 0
"""A person waits for a caption: it is served before Stage-A and Stage-B."""


class CaptionPhoto:
    """Captions photos, each with the model that it is pinned to."""

    def __init__(self, models: ModelRouter, reader: PhotoReader, observer: PhotoObserver) -> None:
        self._models = models
        self._reader = reader
        self._observer = observer

    async def __call__(
        self, data: bytes, *, request_id: str, decoding: DecodingParams, timeout_s: float
    ) -> CaptionResult:
        """The caption of an encoded photo.

        Raises:
            PhotoRejected: the photo cannot be used.
            EngineError: the engine did not answer.
            AnswerMalformed: the answer is not a caption.
        """
        read = await self._reader.read(data)
        async with self._models.pin(request_id, timeout_s=timeout_s) as pinned:
            task = _caption_task()
            answer = await task.run(
                read,
                pinned.engine,
                self._observer,
                request_id=request_id,
                decoding=decoding,
                timeout_s=timeout_s - pinned.waited_s,
            )
        return self._result(pinned.model, task, answer)

    async def stream(
        self, data: bytes, *, request_id: str, decoding: DecodingParams, timeout_s: float
    ) -> AsyncGenerator[CaptionStart | CaptionObject | CaptionResult, None]:
        """Photo and model, each object as soon as it is complete, then the whole result. Raises as the call does.

        Closing the generator aborts the generation.
        """
        read = await self._reader.read(data)
        async with self._models.pin(request_id, timeout_s=timeout_s) as pinned:
            task = _caption_task()
            yield CaptionStart(model=pinned.model, photo=read.photo)
            started, reader, last, has_object = perf_counter(), CaptionReader(), Delta(text=""), False
            timeout_s -= pinned.waited_s
            request = task.request(read.photo, request_id=request_id, decoding=decoding, timeout_s=timeout_s)
            async with aclosing(pinned.engine.stream(request)) as deltas:
                async for last in deltas:
                    # A cached answer arrives in one piece and at once: it would only blur the engine's latencies.
                    if not reader.text and not last.cached:
                        self._observer.record_first_token(perf_counter() - started)
                    for item in reader.feed(last.text):
                        if not has_object and not last.cached:
                            has_object = True
                            self._observer.record_first_object(perf_counter() - started)
                        yield item
        seconds = perf_counter() - started
        answer = task.answer(read, reader.outcome(), last, seconds, self._observer)
        yield self._result(pinned.model, task, answer)

    def _result(
        self, model: ServedModel, task: PhotoTask[CaptionOutcome], answer: PhotoAnswer[CaptionOutcome]
    ) -> CaptionResult:
        caption = answer.outcome.caption
        assert caption is not None  # a malformed answer was raised
        self._observer.record_caption(len(caption.objects), truncated=answer.outcome.truncated)
        return CaptionResult(model=model, prompt_digest=task.prompt_digest, answer=answer)


def _caption_task() -> PhotoTask[CaptionOutcome]:
    """What is asked about a photo, in the words of the inspections that are active where it is called."""
    return PhotoTask(name="caption", prompt=dense_prompt(), grammar=CAPTION_GRAMMAR, priority=PRIORITY, parse=parse)
