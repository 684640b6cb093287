"""One prompt about one photo: what captions and Stage-A lines share, from the engine request to the recorded answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Generic

from engine.protocol import DecodingParams, Delta, Engine, GenerateRequest, Generation
from service.photos.observe import PhotoObserver, TaskName
from service.photos.reader import ReadPhoto
from service.photos.results import OutcomeT, PhotoAnswer, Timings
from service.platform.errors import AnswerMalformed
from vqc.contract import prompt_digest
from vqc.image import CanonicalPhoto
from vqc.parser import Status
from vqc.prompts import Prompt


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoTask(Generic[OutcomeT]):
    """What is asked about a photo, and how the answer is read. A lower ``priority`` is served earlier."""

    name: TaskName
    prompt: Prompt
    grammar: str
    priority: int
    parse: Callable[[str], OutcomeT]

    @property
    def prompt_digest(self) -> str:
        """The digest that names the prompt in responses."""
        return prompt_digest(self.prompt)

    def request(
        self, photo: CanonicalPhoto, *, request_id: str, decoding: DecodingParams, timeout_s: float
    ) -> GenerateRequest:
        """The engine request that shows the photo with the prompt."""
        return GenerateRequest(
            request_id=request_id,
            system=self.prompt.system,
            user=self.prompt.parts([photo]),
            decoding=decoding,
            grammar=self.grammar,
            priority=self.priority,
            timeout_s=timeout_s,
        )

    async def run(
        self,
        read: ReadPhoto,
        engine: Engine,
        observer: PhotoObserver,
        *,
        request_id: str,
        decoding: DecodingParams,
        timeout_s: float,
    ) -> PhotoAnswer[OutcomeT]:
        """The engine's answer about a photo.

        Raises:
            EngineError: the engine did not answer.
            AnswerMalformed: the answer cannot be parsed.
        """
        started = perf_counter()
        request = self.request(read.photo, request_id=request_id, decoding=decoding, timeout_s=timeout_s)
        generation = await engine.generate(request)
        seconds = perf_counter() - started
        return self.answer(read, self.parse(generation.completions[0].text), generation, seconds, observer)

    def answer(
        self,
        read: ReadPhoto,
        outcome: OutcomeT,
        usage: Generation | Delta,
        engine_s: float,
        observer: PhotoObserver,
    ) -> PhotoAnswer[OutcomeT]:
        """The parsed answer, which is recorded. ``usage`` carries its token counts. Raises ``AnswerMalformed``."""
        if not usage.cached:  # a cached answer cost the engine nothing
            observer.record_answer(
                self.name,
                engine_s,
                status=outcome.status,
                prompt_tokens=usage.prompt_tokens,
                completion_tokens=usage.completion_tokens,
            )
        if outcome.status is Status.MALFORMED:
            raise AnswerMalformed(outcome.notes[0])
        return PhotoAnswer(
            photo=read.photo,
            outcome=outcome,
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            cached=usage.cached,
            timings=Timings(photo_ms=read.read_ms, engine_ms=engine_s * 1000),
        )
