"""Answers given before: the same photo, asked the same of the same model, is not asked again.

Wraps the engine that a request is pinned to. Only what comes out the same each time is kept: greedy captions and Stage-A
lines, whole and readable. The key names everything that an answer depends on, its model first: a swap starts with nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace
from time import monotonic
from typing import Protocol

from engine.errors import EngineError, EngineTimeout
from engine.protocol import Completion, Delta, Engine, FinishReason, GenerateRequest, Generation, Health
from service.application.observe import Observer
from service.domain.errors import QueueUnavailable
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

    ``served_as`` says what, beside the model, may change its words: the release, quantisation and flags of the engine.
    """

    def __init__(self, store: AnswerStore, observer: Observer, *, served_as: str = "") -> None:
        self._store = store
        self._observer = observer
        self._served_as = served_as
        self._rests_until = 0.0
        self._asked: dict[str, _Asked] = {}

    def of(self, engine: Engine, model_digest: str) -> Engine:
        """The engine, whose model has this digest, with repeats answered from the store."""
        return _RepeatedEngine(engine, self, [model_digest, self._served_as])

    async def answer(self, key: str, engine: Engine, request: GenerateRequest) -> Generation:
        """The kept answer or a new one. Requests that come while the same is asked get its answer, or ask if it fails."""
        asked, deadline = self._asked.get(key), monotonic() + request.timeout_s
        if asked is None:
            asked = self._asked[key] = _Asked(asyncio.create_task(self._found_or_written(key, engine, request)))
            return await self._awaited(key, asked)
        self._observer.looked_up("joined")
        try:
            async with asyncio.timeout(request.timeout_s):
                return replace(await self._awaited(key, asked), cached=True)
        except TimeoutError as error:
            raise EngineTimeout(request.timeout_s) from error
        except EngineError:
            return await engine.generate(replace(request, timeout_s=deadline - monotonic()))

    async def find(self, key: str) -> KeptAnswer | None:
        """The kept answer; None too while the store is away."""
        if monotonic() < self._rests_until:
            self._observer.looked_up("unavailable")
            return None
        try:
            found = await self._store.get(key)
        except QueueUnavailable:
            self._rests_until = monotonic() + REST_S
            self._observer.looked_up("unavailable")
            return None
        self._observer.looked_up("hit" if found else "miss")
        return found

    async def keep(self, key: str, request: GenerateRequest, completion: Completion, cost: Generation | Delta) -> None:
        """Keeps a whole answer that can be read, unless the store is away."""
        if completion.finish_reason != "stop" or not _can_be_read(request, completion.text):
            return
        tokens = {"prompt_tokens": cost.prompt_tokens, "completion_tokens": cost.completion_tokens}
        if monotonic() >= self._rests_until:
            try:
                await self._store.put(key, KeptAnswer(text=completion.text, **tokens))
            except QueueUnavailable:
                self._rests_until = monotonic() + REST_S

    async def _found_or_written(self, key: str, engine: Engine, request: GenerateRequest) -> Generation:
        if found := await self.find(key):
            return Generation(
                completions=(_completion(found.text, "stop"),),
                prompt_tokens=found.prompt_tokens,
                completion_tokens=found.completion_tokens,
                cached=True,
            )
        generation = await engine.generate(request)
        await self.keep(key, request, generation.completions[0], generation)
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


class _Asked:
    """A request under way and how many wait for its answer."""

    def __init__(self, task: asyncio.Task[Generation]) -> None:
        self.task = task
        self.waiting = 0


class _RepeatedEngine:
    """An engine whose repeats are answered by ``Repeats``."""

    def __init__(self, engine: Engine, repeats: Repeats, model: list[str]) -> None:
        self._engine = engine
        self._repeats = repeats
        self._model = model

    async def generate(self, request: GenerateRequest) -> Generation:
        """A kept answer, else the engine's."""
        if not _is_repeatable(request):
            return await self._engine.generate(request)
        return await self._repeats.answer(_key(self._model, request), self._engine, request)

    async def stream(self, request: GenerateRequest) -> AsyncGenerator[Delta, None]:
        """A kept answer in one piece, else the engine's piece by piece."""
        key = _key(self._model, request) if _is_repeatable(request) else None
        if key and (found := await self._repeats.find(key)):
            tokens = {"prompt_tokens": found.prompt_tokens, "completion_tokens": found.completion_tokens}
            yield Delta(text=found.text, finish_reason="stop", cached=True, **tokens)
            return
        text, last = "", Delta(text="")
        async with aclosing(self._engine.stream(request)) as deltas:
            async for last in deltas:
                text += last.text
                yield last
        if key and last.finish_reason:
            await self._repeats.keep(key, request, _completion(text, last.finish_reason), last)

    async def health(self) -> Health:
        """Of the engine."""
        return await self._engine.health()

    async def aclose(self) -> None:
        """Stops the engine."""
        await self._engine.aclose()


def _is_repeatable(request: GenerateRequest) -> bool:
    """Whether the same request gets the same answer: drawn tokens differ, and several of them are wanted to."""
    return not request.sampling.temperature and request.sampling.n == 1 and request.grammar in _READERS


def _key(model: list[str], request: GenerateRequest) -> str:
    """The digest of what the answer depends on: model, contract, words, canonical photo, grammar, decoding."""
    words = [part if isinstance(part, str) else [part.digest, part.media_type] for part in request.user]
    decoding = [request.sampling.max_tokens, request.sampling.repetition_penalty]
    return digest([model, contract_digests(), request.system, words, request.grammar, decoding])


def _can_be_read(request: GenerateRequest, text: str) -> bool:
    return _READERS[str(request.grammar)](text)


def _whole_caption(text: str) -> bool:
    outcome = parser.parse(text)
    return outcome.caption is not None and not outcome.truncated


def _completion(text: str, finish_reason: FinishReason) -> Completion:
    return Completion(index=0, text=text, finish_reason=finish_reason)


_READERS = {CAPTION_GRAMMAR: _whole_caption, SUMMARY_GRAMMAR: lambda text: summary.parse(text).summary is not None}
"""Which questions are answered from the store, by their grammar, and whether an answer can be read."""
