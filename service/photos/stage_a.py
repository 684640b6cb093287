"""Use case: the Stage-A line of each photo of a ticket."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from engine.errors import EngineRefused
from engine.protocol import DecodingParams, Engine
from service.models.router import ModelRouter
from service.photos.observe import PhotoObserver
from service.photos.reader import PhotoReader, PhotoSource
from service.photos.results import PhotoAnswer, PhotoFailure, StageAResult
from service.photos.task import PhotoTask
from service.platform.errors import AnswerMalformed, FetchFailed
from service.platform.gather import gather_or_cancel
from service.platform.mission_words import subject
from vqc.errors import InvalidValue
from vqc.grammar import summary_grammar
from vqc.image import CanonicalPhoto
from vqc.missions import Mission, mission_named
from vqc.prompts import stage_a_prompt
from vqc.summary import SummaryOutcome, parse

PRIORITY = 5
"""After captions, which a person waits for, and before Stage-B."""

MAX_PHOTOS = 16
"""Most photos of one request."""


def stage_a_task(mission: Mission) -> PhotoTask[SummaryOutcome]:
    """What is asked about a photo of the mission."""
    return PhotoTask(
        name="stage_a",
        prompt=stage_a_prompt(mission),
        grammar=summary_grammar(mission.words),
        priority=PRIORITY,
        parse=partial(parse, words=mission.words),
    )


class SummarisePhotos:
    """Writes Stage-A lines, all those of a request with one model."""

    def __init__(self, models: ModelRouter, reader: PhotoReader, observer: PhotoObserver) -> None:
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
        """One line per photo, concurrently, order kept. An error that concerns one photo leaves the others their lines.

        Raises:
            InvalidValue: no photo or more than ``MAX_PHOTOS``; a mission that the pinned model's inspections do not have.
            EngineError: the engine did not answer; the whole request is worth retrying.
        """
        if not 1 <= len(sources) <= MAX_PHOTOS:
            raise InvalidValue("photos", len(sources), f"a request holds 1 to {MAX_PHOTOS} photos")

        async with self._models.pin(request_id, timeout_s=timeout_s) as pinned:
            # As the pinned model's inspections define it: a swap may have come since the request was read.
            mission = mission_named(mission.name)

            async def summarise(position: int, source: PhotoSource) -> PhotoAnswer[SummaryOutcome] | PhotoFailure:
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

            photos = await gather_or_cancel(summarise(n, source) for n, source in enumerate(sources, start=1))
        digest = stage_a_task(mission).prompt_digest
        return StageAResult(model=pinned.model, photos=tuple(photos), mission=mission, prompt_digest=digest)

    async def photo(self, data: bytes) -> CanonicalPhoto:
        """A photo as the engine is shown it. Raises ``PhotoRejected``."""
        return await self._reader(data)

    async def line(
        self,
        data: bytes,
        *,
        engine: Engine,
        mission: Mission,
        request_id: str,
        decoding: DecodingParams,
        timeout_s: float,
    ) -> PhotoAnswer[SummaryOutcome]:
        """The line of one photo by a pinned engine. Raises ``PhotoRejected``, ``EngineError`` or ``AnswerMalformed``."""
        answer = await stage_a_task(mission).run(
            await self._reader.read(data),
            engine,
            self._observer,
            request_id=request_id,
            decoding=decoding,
            timeout_s=timeout_s,
        )
        summary = answer.outcome.summary
        assert summary is not None  # a malformed answer was raised
        known = sum(subject(mission, text) is not None for text, _ in summary.items)
        self._observer.record_line(mission.name, known, len(summary.items) - known)
        return answer
