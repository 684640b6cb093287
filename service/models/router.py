"""Which engine answers which request: each is pinned to one engine and one digest from its start to its end.

``ModelRouter`` hands out the pins and counts them, so that an engine that is taken out of force can be drained. Who puts
engines in force and takes them out again is ``service.models.swap``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Self

from engine.errors import EngineUnavailable
from engine.protocol import Engine, Health
from service.models.answer_cache import Repeats
from service.models.observe import Observer
from service.models.roles import ServedModel
from service.models.shadow import Shadow, ShadowedEngine
from service.platform.shares import Role, Share


@dataclass(frozen=True, slots=True, kw_only=True)
class Pinned:
    """What a request works with until it is done. ``waited_s`` passed before there was a model for it."""

    engine: Engine
    model: ServedModel
    waited_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A verified version on disk. ``base`` is there for a LoRA adapter; ``release`` ends the claim on the files."""

    model: ServedModel
    directory: Path
    base: Path | None = None
    release: Callable[[], None] = lambda: None


class Deployment:
    """One engine, what it serves, and how many requests are pinned to it. ``checkpoint`` is None for an engine not ours."""

    def __init__(self, engine: Engine, model: ServedModel, checkpoint: Checkpoint | None = None) -> None:
        self.engine = engine
        self.model = model
        self.checkpoint = checkpoint
        self.holders = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def hold(self) -> None:
        """One more request is pinned to it."""
        self.holders += 1
        self._idle.clear()

    def let_go(self) -> None:
        """One request that was pinned to it is done."""
        self.holders -= 1
        if not self.holders:
            self._idle.set()

    async def drained(self, limit_s: float) -> int:
        """Returns when no request is pinned to it, or after ``limit_s``; how many still are."""
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                await self._idle.wait()
        return self.holders


class ModelRouter:
    """Pins requests to what is in force. Without a main model a request waits for one, ``wait_s`` at most."""

    def __init__(
        self,
        observer: Observer,
        *,
        canary: Share | None = None,
        shadow: Share | None = None,
        wait_s: float = 120.0,
        repeats: Repeats | None = None,
    ) -> None:
        self._observer = observer
        self._canary = canary
        self._shadow_share = shadow
        self._shadow = Shadow(observer.shadowed)
        self._wait_s = wait_s
        self._repeats = repeats
        self._in_force: dict[Role, Deployment] = {}
        self._present = asyncio.Event()
        self._model = ServedModel(alias="none", digest="none")
        self.absence = "no model is in force yet"
        """Why there is no main model, while there is none."""

    @classmethod
    def of(
        cls, engine: Engine, model: ServedModel, observer: Observer | None = None, *, repeats: Repeats | None = None
    ) -> Self:
        """A router with one engine that stays."""
        router = cls(observer or Observer(), repeats=repeats)
        router.put_in_force(Role.MAIN, Deployment(engine, model))
        return router

    @property
    def model(self) -> ServedModel:
        """The main model in force, or the last that was."""
        return self._model

    def in_force(self, role: Role) -> Deployment | None:
        """What serves in a role now."""
        return self._in_force.get(role)

    @asynccontextmanager
    async def pin(self, key: str, *, timeout_s: float | None = None) -> AsyncGenerator[Pinned, None]:
        """One engine and its model for everything that the request or ticket named ``key`` asks.

        Raises:
            EngineUnavailable: there is no model, and none came within ``wait_s`` (``timeout_s`` if that is less).
        """
        began = monotonic()
        role, deployment = await self._held(key, self._wait_s if timeout_s is None else min(self._wait_s, timeout_s))
        self._observer.pinned(role)
        try:
            waited_s = monotonic() - began
            engine = self._shadowed(role, deployment, key)
            if self._repeats:
                engine = self._repeats.of(engine, deployment.model.digest)
            yield Pinned(engine=engine, model=deployment.model, waited_s=waited_s)
        finally:
            deployment.let_go()

    def put_in_force(self, role: Role, deployment: Deployment) -> Deployment | None:
        """From now on new requests go to ``deployment``. What was in force before is the caller's to drain and stop."""
        before = self._in_force.get(role)
        self._in_force[role] = deployment
        if role is Role.MAIN:
            self._model = deployment.model
            self._present.set()
        self._tell()
        return before

    def withdraw(self, role: Role, reason: str) -> Deployment | None:
        """From now on nothing is in force in the role: requests wait for a main model, and do without the others."""
        before = self._in_force.pop(role, None)
        if role is Role.MAIN:
            self.absence = reason
            self._present.clear()
        self._tell()
        return before

    async def health(self) -> Health:
        """Of the main model's engine."""
        main = self._in_force.get(Role.MAIN)
        return await main.engine.health() if main else Health(ready=False, reason=self.absence)

    async def aclose(self) -> None:
        """Stops asking the shadow and every engine in force."""
        await self._shadow.aclose()
        deployments, self._in_force = [*self._in_force.values()], {}
        self.absence = "stopping"
        self._present.clear()
        await asyncio.gather(*(deployment.engine.aclose() for deployment in deployments))
        for deployment in deployments:
            if deployment.checkpoint:
                deployment.checkpoint.release()

    async def _held(self, key: str, wait_s: float) -> tuple[Role, Deployment]:
        """What the request is pinned to, already counted there."""
        canary = self._in_force.get(Role.CANARY)
        if canary and self._canary and self._canary.takes(Role.CANARY, key):
            canary.hold()
            try:
                ready = (await canary.engine.health()).ready
            except BaseException:
                canary.let_go()
                raise
            if ready:
                return Role.CANARY, canary
            canary.let_go()
        try:
            async with asyncio.timeout(wait_s):
                while (main := self._in_force.get(Role.MAIN)) is None:
                    await self._present.wait()
        except TimeoutError as error:
            raise EngineUnavailable(self.absence) from error
        main.hold()
        return Role.MAIN, main

    def _shadowed(self, role: Role, deployment: Deployment, key: str) -> Engine:
        """The engine itself, or one that has its answers compared with the shadow's."""
        shadow, share = self._in_force.get(Role.SHADOW), self._shadow_share
        if role is not Role.MAIN or not shadow or not share or not share.takes(Role.SHADOW, key):
            return deployment.engine
        return ShadowedEngine(deployment.engine, self._shadow.beside(shadow))

    def _tell(self) -> None:
        self._observer.serving([(role, deployment.model) for role, deployment in self._in_force.items()])
