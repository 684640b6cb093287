"""Use case: the Stage-A line of each photo of a ticket."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter

from engine.errors import EngineRefused
from engine.protocol import DecodingParams, Engine
from service.models.observe import Observer
from service.models.router import ModelRouter
from service.photos.ask import answered, photo_request, read_photo
from service.photos.reader import PhotoReader, PhotoSource
from service.photos.results import PhotoFailure, StageAResult, SummaryResult, Timings
from service.platform.errors import AnswerMalformed, FetchFailed
from service.platform.gather import gather_or_cancel
from service.platform.mission_words import subject
from vqc.contract import prompt_digest
from vqc.errors import InvalidValue
from vqc.grammar import SUMMARY_GRAMMAR
from vqc.missions import Mission
from vqc.prompts import stage_a_prompt
from vqc.summary import parse

PRIORITY = 5
"""After captions that somebody waits for, before Stage-B."""

MAX_PHOTOS = 16
"""Most photos of one request."""


class SummarisePhotos:
    """Writes Stage-A lines, all those of a request with one model."""

    def __init__(self, models: ModelRouter, reader: PhotoReader, observer: Observer) -> None:
        self._models = models
        self._reader = reader
        self._observer = observer

    async def __call__(
        self,
        sources: Sequence[PhotoSource],
        *,
        mission: Mission,
        request_id: str,
        decoding: DecodingParams,
        timeout_s: float,
    ) -> StageAResult:
        """One line per photo, concurrently, order kept. A photo that is itself at fault fails alone.

        Raises:
            InvalidValue: no photo or more than ``MAX_PHOTOS``.
            EngineError: the engine does not answer; the whole request is worth retrying.
        """
        if not 1 <= len(sources) <= MAX_PHOTOS:
            raise InvalidValue("photos", len(sources), f"a request holds 1 to {MAX_PHOTOS} photos")

        async with self._models.pin(request_id, timeout_s=timeout_s) as pinned:

            async def line(position: int, source: PhotoSource) -> SummaryResult | PhotoFailure:
                try:
                    return await self.line(
                        await source(),
                        engine=pinned.engine,
                        mission=mission,
                        request_id=f"{request_id}-{position}",
                        decoding=decoding,
                        timeout_s=timeout_s - pinned.waited_s,
                    )
                except (InvalidValue, FetchFailed, EngineRefused, AnswerMalformed) as error:
                    return PhotoFailure(error=error)

            photos = await gather_or_cancel(line(n, source) for n, source in enumerate(sources, start=1))
        return StageAResult(
            model=pinned.model, photos=tuple(photos), prompt_digest=prompt_digest(stage_a_prompt(mission))
        )

    async def line(
        self,
        data: bytes,
        *,
        engine: Engine,
        mission: Mission,
        request_id: str,
        decoding: DecodingParams,
        timeout_s: float,
    ) -> SummaryResult:
        """The line of one photo by a pinned engine. Raises ``PhotoRejected``, ``EngineError`` or ``AnswerMalformed``."""
        photo, photo_ms = await read_photo(self._reader, data, self._observer)
        started = perf_counter()
        generation = await engine.generate(
            photo_request(
                photo,
                stage_a_prompt(mission),
                request_id=request_id,
                decoding=decoding,
                grammar=SUMMARY_GRAMMAR,
                priority=PRIORITY,
                timeout_s=timeout_s,
            )
        )
        seconds, outcome = perf_counter() - started, parse(generation.completions[0].text)
        answered("stage_a", seconds, outcome.status, generation, self._observer)
        if outcome.summary is None:
            raise AnswerMalformed(outcome.notes[0])
        known = sum(subject(mission, text) is not None for text, _ in outcome.summary.items)
        self._observer.summarised(mission.name, known, len(outcome.summary.items) - known)
        return SummaryResult(
            photo=photo,
            outcome=outcome,
            prompt_tokens=generation.prompt_tokens,
            completion_tokens=generation.completion_tokens,
            cached=generation.cached,
            timings=Timings(photo_ms=photo_ms, engine_ms=seconds * 1000),
        )
