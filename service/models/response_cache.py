"""Response cache: identical greedy requests to one model version are answered from the store.

Wraps the engine that a request is pinned to. Only complete, readable captions and Stage-A lines are stored. The key covers
everything that an answer depends on, the model's digest included: after a swap the cache is empty for the new version.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import cache, lru_cache, partial
from time import monotonic
from typing import Protocol

import structlog
from typing_extensions import override

from engine.errors import EngineError, EngineTimeout
from engine.protocol import Completion, Delta, Engine, GenerateRequest, Generation, Health
from service.models.observe import ModelObserver
from service.platform.errors import QueueUnavailable
from vqc import parser, summary
from vqc.answer_words import AnswerWords
from vqc.contract import digest, shared_digests
from vqc.grammar import CAPTION_GRAMMAR, summary_grammar
from vqc.missions import ActiveInspections, active

STORE_PAUSE_S = 5.0
"""For so long a store that failed is not called again: an outage costs one timeout, not one for each request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedAnswer:
    """The completion of a request, and the tokens that it cost when it was generated."""

    text: str
    prompt_tokens: int
    completion_tokens: int


class ResponseStore(Protocol):
    """Keeps the newest answers for a limited time; may drop any. Raises ``QueueUnavailable`` while it is unreachable."""

    async def get(self, key: str) -> CachedAnswer | None:
        """The answer stored under the key, if it is still there."""
        ...

    async def put(self, key: str, answer: CachedAnswer) -> None:
        """Stores the answer."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheKey:
    """What a stored answer is found by. ``digest`` covers everything that the answer depends on."""

    digest: str
    model_digest: str


class _Pending:
    """A request that the engine is answering, and how many callers wait for its answer."""

    def __init__(self, task: asyncio.Task[Generation]) -> None:
        self.task = task
        self.waiting = 0


class ResponseCache:
    """Answers identical requests from ``store``. A store that is unreachable makes no request fail.

    ``served_as`` names what may change the answers of a model besides its weights: release, quantization and flags of the
    engine. ``trusts_engine`` is for engines that the service runs itself. An external engine may have been given another
    model meanwhile, so its answers are stored only if they name the model's digest (``…@DIGEST``).
    """

    def __init__(
        self, store: ResponseStore, observer: ModelObserver, *, served_as: str = "", trusts_engine: bool = True
    ) -> None:
        self._store = store
        self._observer = observer
        self._served_as = served_as
        self._trusts_engine = trusts_engine
        self._store_paused_until = 0.0
        self._pending: dict[str, _Pending] = {}

    def wrap(self, engine: Engine, model_digest: str) -> Engine:
        """The engine, whose model has this digest, behind the cache."""
        return _CachedEngine(engine, self, model_digest)

    def key(self, request: GenerateRequest, model_digest: str) -> CacheKey | None:
        """The key of a request whose answer may be stored; None for one that is sampled or has another grammar."""
        decoding = request.decoding
        if decoding.temperature or request.n > 1 or request.grammar not in _readers(active()):
            return None
        words = [part if isinstance(part, str) else [part.digest, part.media_type] for part in request.user]
        grammar = _grammar_digest(request.grammar)
        asked = [request.system, words, grammar, decoding.max_new_tokens, decoding.repetition_penalty]
        return CacheKey(
            digest=digest([model_digest, self._served_as, shared_digests(), asked]), model_digest=model_digest
        )

    async def answer(self, key: CacheKey, request: GenerateRequest, engine: Engine) -> Generation:
        """The stored answer, or a new one. Identical requests at the same time share one generation."""
        pending, deadline = self._pending.get(key.digest), monotonic() + request.timeout_s
        if pending is None:
            # The generation is a task of its own, not the first caller's: that caller may disconnect while others wait.
            task = asyncio.create_task(self._look_up_or_generate(key, request, engine))
            pending = self._pending[key.digest] = _Pending(task)
            return await self._wait_for(key, pending)
        self._observer.record_lookup("joined")
        try:
            # The generation runs under the deadline of whoever came first; this caller's own may be shorter.
            async with asyncio.timeout(request.timeout_s):
                return replace(await self._wait_for(key, pending), cached=True)
        except TimeoutError as error:
            raise EngineTimeout(request.timeout_s) from error
        except EngineError:
            # The other caller's failure (its deadline, its engine in the middle of a swap) need not be this caller's.
            return await engine.generate(replace(request, timeout_s=deadline - monotonic()))

    async def find(self, key: CacheKey) -> CachedAnswer | None:
        """The stored answer; None also while the store is unreachable."""
        if monotonic() < self._store_paused_until:
            self._observer.record_lookup("unavailable")
            return None
        try:
            found = await self._store.get(key.digest)
        except QueueUnavailable:
            self._store_paused_until = monotonic() + STORE_PAUSE_S
            self._observer.record_lookup("unavailable")
            return None
        self._observer.record_lookup("hit" if found else "miss")
        return found

    async def store(self, key: CacheKey, request: GenerateRequest, text: str, end: Generation | Delta) -> None:
        """Stores a complete answer that can be read and is the model's. ``end`` carries its token counts and its model."""
        is_readable = _readers(active()).get(str(request.grammar))
        if is_readable is None or not is_readable(text) or not self._is_of_model(key, end):
            return
        if monotonic() >= self._store_paused_until:
            answer = CachedAnswer(text=text, prompt_tokens=end.prompt_tokens, completion_tokens=end.completion_tokens)
            try:
                await self._store.put(key.digest, answer)
            except QueueUnavailable:
                self._store_paused_until = monotonic() + STORE_PAUSE_S

    def _is_of_model(self, key: CacheKey, end: Generation | Delta) -> bool:
        if self._trusts_engine or end.model.endswith(f"@{key.model_digest}"):
            return True
        _log.warning("answer_not_kept", answered_by=end.model, expected_digest=key.model_digest)
        return False

    async def _look_up_or_generate(self, key: CacheKey, request: GenerateRequest, engine: Engine) -> Generation:
        if found := await self.find(key):
            return Generation(
                completions=(Completion(index=0, text=found.text, finish_reason="stop"),),
                prompt_tokens=found.prompt_tokens,
                completion_tokens=found.completion_tokens,
                cached=True,
            )
        generation = await engine.generate(request)
        (completion,) = generation.completions
        if completion.finish_reason == "stop":
            await self.store(key, request, completion.text, generation)
        return generation

    async def _wait_for(self, key: CacheKey, pending: _Pending) -> Generation:
        """The pending answer. The last caller that stops waiting cancels the generation."""
        pending.waiting += 1
        try:
            # Shielded: a cancelled caller leaves, and the generation goes on for the others.
            return await asyncio.shield(pending.task)
        finally:
            pending.waiting -= 1
            if not pending.waiting:
                # Removed before it is cancelled, without an await between: no new caller can join a dying generation.
                del self._pending[key.digest]
                pending.task.cancel()


class _CachedEngine(Engine):
    """An engine behind a ``ResponseCache``."""

    def __init__(self, engine: Engine, responses: ResponseCache, model_digest: str) -> None:
        self._engine = engine
        self._responses = responses
        self._model_digest = model_digest

    @override
    async def generate(self, request: GenerateRequest) -> Generation:
        key = self._responses.key(request, self._model_digest)
        return await (self._responses.answer(key, request, self._engine) if key else self._engine.generate(request))

    @override
    async def stream(self, request: GenerateRequest) -> AsyncGenerator[Delta, None]:
        """A stored answer in one piece, else the engine's piece by piece. A stream does not join a pending request."""
        key = self._responses.key(request, self._model_digest)
        if key and (found := await self._responses.find(key)):
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
        if key and last.finish_reason == "stop":
            await self._responses.store(key, request, text, last)

    @override
    async def health(self) -> Health:
        return await self._engine.health()

    @override
    async def aclose(self) -> None:
        await self._engine.aclose()


def _is_complete_caption(text: str) -> bool:
    outcome = parser.parse(text)
    return outcome.caption is not None and not outcome.truncated


@lru_cache(maxsize=8)
def _readers(inspections: ActiveInspections) -> dict[str, Callable[[str], bool]]:
    """The grammars whose answers may be stored, and whether an answer can be read."""
    lines = {summary_grammar(one.words): partial(_is_line, one.words) for one in inspections.inspections}
    return {CAPTION_GRAMMAR: _is_complete_caption, **lines}


def _is_line(words: AnswerWords, text: str) -> bool:
    return summary.parse(text, words).summary is not None


_grammar_digest = cache(digest)
"""The digest of a grammar: 50 kB that need not be hashed for every request."""
_log = structlog.get_logger("vqc.answers")
