"""Asks a second model what the first has answered, and compares; nobody waits for it and nobody sees its answers."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Protocol

from engine.errors import EngineError
from engine.protocol import Delta, Engine, GenerateRequest, Generation, Health
from service.models.roles import Agreement
from vqc.caption import CaptionObject
from vqc.grammar import CAPTION_GRAMMAR
from vqc.parser import parse

PRIORITY = 100
"""Whatever somebody waits for is served before."""

MOST_AT_ONCE = 8
"""Questions to the shadow at a time; more are skipped."""

Compare = Callable[[GenerateRequest, str], None]


class Held(Protocol):
    """An engine that is kept while somebody holds it."""

    engine: Engine

    def hold(self) -> None:
        """One more holds it."""
        ...

    def let_go(self) -> None:
        """One holds it no more."""
        ...


class Shadow:
    """The questions under way; ``tell`` hears how each answer compares."""

    def __init__(self, tell: Callable[[Agreement], None]) -> None:
        self._tell = tell
        self._tasks: set[asyncio.Task[None]] = set()

    def beside(self, shadow: Held) -> Compare:
        """What compares an answer with that of ``shadow``. Sampled answers are not compared: they differ by chance."""

        def compare(request: GenerateRequest, answer: str) -> None:
            if request.decoding.temperature or request.n > 1:
                return
            if len(self._tasks) >= MOST_AT_ONCE:
                self._tell(Agreement.SKIPPED)
                return
            shadow.hold()
            task = asyncio.create_task(self._asked(shadow.engine, request, answer))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            task.add_done_callback(lambda _: shadow.let_go())

        return compare

    async def aclose(self) -> None:
        """Gives up what is under way."""
        tasks = [*self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _asked(self, engine: Engine, request: GenerateRequest, answer: str) -> None:
        try:
            generation = await engine.generate(
                replace(request, request_id=f"{request.request_id}-shadow", priority=PRIORITY)
            )
        except EngineError:
            self._tell(Agreement.FAILED)
        else:
            self._tell(agreement(answer, generation.completions[0].text, caption=request.grammar == CAPTION_GRAMMAR))


class ShadowedEngine:
    """An engine whose complete answers are handed to ``compare``."""

    def __init__(self, engine: Engine, compare: Compare) -> None:
        self._engine = engine
        self._compare = compare

    async def generate(self, request: GenerateRequest) -> Generation:
        """The engine's answer."""
        generation = await self._engine.generate(request)
        self._compare(request, generation.completions[0].text)
        return generation

    async def stream(self, request: GenerateRequest) -> AsyncGenerator[Delta, None]:
        """The engine's answer piece by piece."""
        text = ""
        async with aclosing(self._engine.stream(request)) as deltas:
            async for delta in deltas:
                text += delta.text
                yield delta
        self._compare(request, text)

    async def health(self) -> Health:
        """Of the engine that answers."""
        return await self._engine.health()

    async def aclose(self) -> None:
        """Stops the engine that answers."""
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
