"""Use case: the dense caption of one photo, whole or object by object."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from time import perf_counter

from engine.protocol import DecodingParams, Delta, GenerateRequest, Generation
from service.models.observe import Observer
from service.models.roles import ServedModel
from service.models.router import ModelRouter
from service.photos.ask import answered, photo_request, read_photo
from service.photos.reader import PhotoReader
from service.photos.results import CaptionBegun, CaptionResult, Timings
from service.platform.errors import AnswerMalformed
from vqc.caption import CaptionObject
from vqc.contract import prompt_digest
from vqc.grammar import CAPTION_GRAMMAR
from vqc.image import CanonicalPhoto
from vqc.parser import CaptionOutcome, CaptionReader, parse
from vqc.prompts import dense_prompt

PRIORITY = 0
"""Somebody waits for a caption: it is served before Stage-A and Stage-B."""


class CaptionPhoto:
    """Captions photos, each with the model that it is pinned to."""

    def __init__(self, models: ModelRouter, reader: PhotoReader, observer: Observer) -> None:
        self._models = models
        self._reader = reader
        self._observer = observer
        self._prompt = dense_prompt()
        self._prompt_digest = prompt_digest(self._prompt)

    async def __call__(
        self, data: bytes, *, request_id: str, decoding: DecodingParams, timeout_s: float
    ) -> CaptionResult:
        """The caption of an encoded photo.

        Raises:
            PhotoRejected: the photo cannot be used.
            EngineError: no answer from the engine.
            AnswerMalformed: an answer that is no caption.
        """
        photo, photo_ms = await read_photo(self._reader, data, self._observer)
        async with self._models.pin(request_id, timeout_s=timeout_s) as pinned:
            started = perf_counter()
            request = self._request(photo, request_id, decoding, timeout_s - pinned.waited_s)
            generation = await pinned.engine.generate(request)
        return self._result(
            pinned.model,
            photo,
            photo_ms,
            started,
            outcome=parse(generation.completions[0].text),
            cost=generation,
        )

    async def stream(
        self, data: bytes, *, request_id: str, decoding: DecodingParams, timeout_s: float
    ) -> AsyncGenerator[CaptionBegun | CaptionObject | CaptionResult, None]:
        """Photo and model, each object as soon as it is complete, then the whole result. Raises as the call does.

        Closing the generator aborts the generation.
        """
        photo, photo_ms = await read_photo(self._reader, data, self._observer)
        async with self._models.pin(request_id, timeout_s=timeout_s) as pinned:
            yield CaptionBegun(model=pinned.model, photo=photo)
            started, reader, last, seen = perf_counter(), CaptionReader(), Delta(text=""), False
            request = self._request(photo, request_id, decoding, timeout_s - pinned.waited_s)
            async with aclosing(pinned.engine.stream(request)) as deltas:
                async for last in deltas:
                    if not reader.text and not last.cached:
                        self._observer.first_token(perf_counter() - started)
                    for item in reader.feed(last.text):
                        if not seen and not last.cached:
                            seen = True
                            self._observer.first_object(perf_counter() - started)
                        yield item
        yield self._result(
            pinned.model,
            photo,
            photo_ms,
            started,
            outcome=reader.outcome(),
            cost=last,
        )

    def _request(
        self, photo: CanonicalPhoto, request_id: str, decoding: DecodingParams, timeout_s: float
    ) -> GenerateRequest:
        return photo_request(
            photo,
            self._prompt,
            request_id=request_id,
            decoding=decoding,
            grammar=CAPTION_GRAMMAR,
            priority=PRIORITY,
            timeout_s=timeout_s,
        )

    def _result(
        self,
        model: ServedModel,
        photo: CanonicalPhoto,
        photo_ms: float,
        started: float,
        *,
        outcome: CaptionOutcome,
        cost: Generation | Delta,
    ) -> CaptionResult:
        seconds = perf_counter() - started
        answered("caption", seconds, outcome.status, cost, self._observer)
        if outcome.caption is None:
            raise AnswerMalformed(outcome.notes[0])
        self._observer.captioned(len(outcome.caption.objects), truncated=outcome.truncated)
        return CaptionResult(
            model=model,
            photo=photo,
            outcome=outcome,
            prompt_digest=self._prompt_digest,
            prompt_tokens=cost.prompt_tokens,
            completion_tokens=cost.completion_tokens,
            cached=cost.cached,
            timings=Timings(photo_ms=photo_ms, engine_ms=seconds * 1000),
        )
