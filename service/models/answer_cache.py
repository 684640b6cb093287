"""Answers given before: the same photo, asked the same of the same model, is not asked again.

Wraps the engine that a request is pinned to. Only what comes out the same each time is kept: greedy captions and Stage-A
lines, whole and readable. The key names everything that an answer depends on, its model first: a swap starts with nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import cache
from time import monotonic
from typing import Protocol

import structlog

from engine.errors import EngineError, EngineTimeout
from engine.protocol import Completion, Delta, Engine, FinishReason, GenerateRequest, Generation, Health
from service.models.observe import Observer
from service.platform.errors import QueueUnavailable
from vqc import parser, summary
from vqc.contract import contract_digests, digest
from vqc.grammar import CAPTION_GRAMMAR, SUMMARY_GRAMMAR

REST_S = 5.0
"""Time for which a store that did not answer is left alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptAnswer:
    """The one completion of a request, and the tokens that it cost when it was written."""

    text: str
    prompt_tokens: int
    completion_tokens: int


class AnswerStore(Protocol):
    """Keeps answers by key for a time, up to a number; may forget any. Raises ``QueueUnavailable`` while it is away."""

    async def get(self, key: str) -> KeptAnswer | None:
        """The answer kept under the key."""
        ...

    async def put(self, key: str, answer: KeptAnswer) -> None:
        """Keeps the answer."""
        ...


class Repeats:
    """Makes engines look for an answer before they write one. A store that is away makes nothing fail.

    ``served_as`` says what, beside the model, may change its words: the release, quantisation and flags of the engine. Unless
    ``trusting``, which is for engines of our own, only answers that name the model's digest (``…@DIGEST``) are kept: somebody
    else's engine may have another model by now.
    """

    def __init__(self, store: AnswerStore, observer: Observer, *, served_as: str = "", trusting: bool = True) -> None:
        self._store = store
        self._observer = observer
        self._served_as = served_as
        self._trusting = trusting
        self._rests_until = 0.0
        self._asked: dict[str, _Asked] = {}

    def of(self, engine: Engine, model_digest: str) -> Engine:
        """The engine, whose model has this digest, with repeats answered from the store."""
        return _RepeatedEngine(engine, self, model_digest)

    def question(self, request: GenerateRequest, model_digest: str) -> Question | None:
        """The request as a question whose answer may be kept; None for one whose answer may be another next time."""
        decoding = request.decoding
        if decoding.temperature or request.n > 1 or request.grammar not in _READERS:
            return None
        words = [part if isinstance(part, str) else [part.digest, part.media_type] for part in request.user]
        asked = [request.system, words, _once(request.grammar), decoding.max_new_tokens, decoding.repetition_penalty]
        key = digest([model_digest, self._served_as, contract_digests(), asked])
        return Question(key=key, request=request, model_digest=model_digest)

    async def answer(self, question: Question, engine: Engine) -> Generation:
        """The kept answer or a new one. Who comes while the same is asked gets its answer, or asks if that fails."""
        request = question.request
        asked, deadline = self._asked.get(question.key), monotonic() + request.timeout_s
        if asked is None:
            asked = self._asked[question.key] = _Asked(asyncio.create_task(self._found_or_written(question, engine)))
            return await self._awaited(question.key, asked)
        self._observer.looked_up("joined")
        try:
            async with asyncio.timeout(request.timeout_s):
                return replace(await self._awaited(question.key, asked), cached=True)
        except TimeoutError as error:
            raise EngineTimeout(request.timeout_s) from error
        except EngineError:
            return await engine.generate(replace(request, timeout_s=deadline - monotonic()))

    async def find(self, question: Question) -> KeptAnswer | None:
        """The kept answer; None too while the store is away."""
        if monotonic() < self._rests_until:
            self._observer.looked_up("unavailable")
            return None
        try:
            found = await self._store.get(question.key)
        except QueueUnavailable:
            self._rests_until = monotonic() + REST_S
            self._observer.looked_up("unavailable")
            return None
        self._observer.looked_up("hit" if found else "miss")
        return found

    async def keep(self, question: Question, text: str, finish_reason: FinishReason | None, cost: _Cost) -> None:
        """Keeps a whole answer that can be read and is the model's, unless the store is away."""
        if (
            finish_reason != "stop"
            or not _READERS[str(question.request.grammar)](text)
            or not self._is_of(question, cost)
        ):
            return
        if monotonic() >= self._rests_until:
            kept = KeptAnswer(text=text, prompt_tokens=cost.prompt_tokens, completion_tokens=cost.completion_tokens)
            try:
                await self._store.put(question.key, kept)
            except QueueUnavailable:
                self._rests_until = monotonic() + REST_S

    def _is_of(self, question: Question, cost: _Cost) -> bool:
        if self._trusting or cost.model.endswith(f"@{question.model_digest}"):
            return True
        _log.warning("answer_not_kept", answered_by=cost.model, expected_digest=question.model_digest)
        return False

    async def _found_or_written(self, question: Question, engine: Engine) -> Generation:
        if found := await self.find(question):
            return Generation(
                completions=(Completion(index=0, text=found.text, finish_reason="stop"),),
                prompt_tokens=found.prompt_tokens,
                completion_tokens=found.completion_tokens,
                cached=True,
            )
        generation = await engine.generate(question.request)
        (completion,) = generation.completions
        await self.keep(question, completion.text, completion.finish_reason, generation)
        return generation

    async def _awaited(self, key: str, asked: _Asked) -> Generation:
        """What comes of it; it is given up once nobody waits for it."""
        asked.waiting += 1
        try:
            return await asyncio.shield(asked.task)
        finally:
            asked.waiting -= 1
            if not asked.waiting:
                del self._asked[key]
                asked.task.cancel()


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A request whose answer may be kept. ``key`` is the digest of all that the answer depends on."""

    key: str
    request: GenerateRequest
    model_digest: str


class _Asked:
    """A question under way and how many wait for its answer."""

    def __init__(self, task: asyncio.Task[Generation]) -> None:
        self.task = task
        self.waiting = 0


class _RepeatedEngine:
    """An engine whose repeats are answered by ``Repeats``."""

    def __init__(self, engine: Engine, repeats: Repeats, model_digest: str) -> None:
        self._engine = engine
        self._repeats = repeats
        self._model_digest = model_digest

    async def generate(self, request: GenerateRequest) -> Generation:
        """A kept answer, else the engine's."""
        question = self._repeats.question(request, self._model_digest)
        return await (self._repeats.answer(question, self._engine) if question else self._engine.generate(request))

    async def stream(self, request: GenerateRequest) -> AsyncGenerator[Delta, None]:
        """A kept answer in one piece, else the engine's piece by piece."""
        question = self._repeats.question(request, self._model_digest)
        if question and (found := await self._repeats.find(question)):
            yield Delta(
                text=found.text,
                finish_reason="stop",
                prompt_tokens=found.prompt_tokens,
                completion_tokens=found.completion_tokens,
                cached=True,
            )
            return
        text, last = "", Delta(text="")
        async with aclosing(self._engine.stream(request)) as deltas:
            async for last in deltas:
                text += last.text
                yield last
        if question:
            await self._repeats.keep(question, text, last.finish_reason, last)

    async def health(self) -> Health:
        """Of the engine."""
        return await self._engine.health()

    async def aclose(self) -> None:
        """Stops the engine."""
        await self._engine.aclose()


def _whole_caption(text: str) -> bool:
    outcome = parser.parse(text)
    return outcome.caption is not None and not outcome.truncated


_READERS = {CAPTION_GRAMMAR: _whole_caption, SUMMARY_GRAMMAR: lambda text: summary.parse(text).summary is not None}
"""Which questions are answered from the store, by their grammar, and whether an answer can be read."""
_once = cache(digest)
"""The digest of a grammar: 50 kB that need not be read at each request."""
_Cost = Generation | Delta
_log = structlog.get_logger("vqc.answers")
