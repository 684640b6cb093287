"""Sends requests to a second model as well and compares the answers; no caller waits for it or sees its answers."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace

from typing_extensions import override

from engine.errors import EngineError
from engine.protocol import Delta, Engine, GenerateRequest, Generation, Health
from service.models.deployment import Deployment
from service.models.observe import ModelObserver
from service.models.roles import Agreement
from vqc.caption import CaptionObject
from vqc.grammar import CAPTION_GRAMMAR
from vqc.parser import parse

PRIORITY = 100
"""Every request that a caller waits for is served first."""

MOST_AT_ONCE = 8
"""Requests to the shadow at a time; more are skipped."""

Compare = Callable[[GenerateRequest, str], None]
"""Receives a request and the main model's complete answer."""


class Shadow:
    """The shadow's requests in flight; the observer gets how each answer compares."""

    def __init__(self, observer: ModelObserver) -> None:
        self._observer = observer
        self._tasks: set[asyncio.Task[None]] = set()

    def comparison_with(self, shadow: Deployment) -> Compare:
        """A callable that compares answers with those of ``shadow``.

        Sampled answers are not compared: they differ by chance.
        """

        def compare(request: GenerateRequest, answer: str) -> None:
            if request.decoding.temperature or request.n > 1:
                return
            if len(self._tasks) >= MOST_AT_ONCE:
                self._observer.record_comparison(Agreement.SKIPPED)
                return
            # The caller's pin does not cover this request: without a count of its own a swap would stop the engine under it.
            shadow.in_flight.acquire()
            task = asyncio.create_task(self._ask(shadow.engine, request, answer))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            task.add_done_callback(lambda _: shadow.in_flight.release())

        return compare

    async def aclose(self) -> None:
        """Cancels the requests in flight."""
        tasks = [*self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _ask(self, engine: Engine, request: GenerateRequest, answer: str) -> None:
        try:
            generation = await engine.generate(
                replace(request, request_id=f"{request.request_id}-shadow", priority=PRIORITY)
            )
        except EngineError:
            self._observer.record_comparison(Agreement.FAILED)
        else:
            theirs, caption = generation.completions[0].text, request.grammar == CAPTION_GRAMMAR
            self._observer.record_comparison(agreement(answer, theirs, caption=caption))


class ShadowedEngine(Engine):
    """An engine whose complete answers are passed to ``compare``."""

    def __init__(self, engine: Engine, compare: Compare) -> None:
        self._engine = engine
        self._compare = compare

    @override
    async def generate(self, request: GenerateRequest) -> Generation:
        generation = await self._engine.generate(request)
        self._compare(request, generation.completions[0].text)
        return generation

    @override
    async def stream(self, request: GenerateRequest) -> AsyncGenerator[Delta, None]:
        text = ""
        async with aclosing(self._engine.stream(request)) as deltas:
            async for delta in deltas:
                text += delta.text
                yield delta
        self._compare(request, text)

    @override
    async def health(self) -> Health:
        return await self._engine.health()

    @override
    async def aclose(self) -> None:
        await self._engine.aclose()


def agreement(ours: str, theirs: str, *, caption: bool) -> Agreement:
    """How two answers to the same request compare.

    >>> agreement("列表:BBU设备", "列表:BBU设备", caption=False).value
    'identical'
    """
    if ours == theirs:
        return Agreement.IDENTICAL
    if caption:
        first, second = parse(ours).caption, parse(theirs).caption
        if first and second and _descriptions(first.objects) == _descriptions(second.objects):
            return Agreement.SAME_DESCRIPTIONS
    return Agreement.DIFFERENT


def _descriptions(objects: Sequence[CaptionObject]) -> Counter[str]:
    return Counter(item.desc for item in objects)
