"""Which engine answers which request: each is pinned to one engine and one digest from its start to its end.

``ModelRouter`` pins requests and counts them, so that a deployment that is no longer active can be drained.
``service.models.swap`` decides which deployments are active.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Self

from engine.errors import EngineUnavailable
from engine.protocol import Engine, Health
from service.models.deployment import Deployment
from service.models.observe import ModelObserver
from service.models.response_cache import ResponseCache
from service.models.roles import ServedModel
from service.models.shadow import Shadow, ShadowedEngine
from service.platform.shares import Role, Share
from vqc.missions import replace_active, using


@dataclass(frozen=True, slots=True, kw_only=True)
class PinnedModel:
    """The engine and the model of one request. ``waited_s`` passed before a model was active."""

    engine: Engine
    model: ServedModel
    waited_s: float = 0.0


class ModelRouter:
    """Pins requests to the active models. Without a main model a request waits for one, ``wait_s`` at most."""

    def __init__(
        self,
        observer: ModelObserver,
        *,
        canary: Share | None = None,
        shadow: Share | None = None,
        wait_s: float = 120.0,
        responses: ResponseCache | None = None,
    ) -> None:
        self._observer = observer
        self._canary = canary
        self._shadow_share = shadow
        self._shadow = Shadow(observer)
        self._wait_s = wait_s
        self._responses = responses
        self._active: dict[Role, Deployment] = {}
        self._main_present = asyncio.Event()
        self._model = ServedModel(alias="none", digest="none")
        self.absence = "no model is active yet"
        """Why there is no main model, while there is none."""

    @classmethod
    def of(
        cls,
        engine: Engine,
        model: ServedModel,
        observer: ModelObserver | None = None,
        *,
        responses: ResponseCache | None = None,
    ) -> Self:
        """A router with one engine that is never replaced."""
        router = cls(observer or ModelObserver(), responses=responses)
        router.activate(Role.MAIN, Deployment(engine, model))
        return router

    @property
    def model(self) -> ServedModel:
        """The active main model, or the last one while there is none."""
        return self._model

    def active(self, role: Role) -> Deployment | None:
        """The active deployment of a role."""
        return self._active.get(role)

    @asynccontextmanager
    async def pin(self, key: str, *, timeout_s: float | None = None) -> AsyncGenerator[PinnedModel, None]:
        """One engine and its model for all that the request or ticket named ``key`` asks.

        Inside, the active inspections are those of its deployment, also after a swap.

        Raises:
            EngineUnavailable: no model became active within ``wait_s`` (``timeout_s`` if that is less).
        """
        began = monotonic()
        role, deployment = await self._acquire(key, self._wait_s if timeout_s is None else min(self._wait_s, timeout_s))
        self._observer.record_pin(role)
        try:
            waited_s = monotonic() - began
            engine = self._with_shadow(role, deployment, key)
            if self._responses:
                # Outside the shadow's wrapper: a cached answer cost no generation and is not compared again.
                engine = self._responses.wrap(engine, deployment.model.digest)
            with using(deployment.inspections):
                yield PinnedModel(engine=engine, model=deployment.model, waited_s=waited_s)
        finally:
            deployment.in_flight.release()

    def activate(self, role: Role, deployment: Deployment) -> Deployment | None:
        """Sends new requests to ``deployment``. Returns the one before, which the caller has to drain and stop.

        A main model's inspections become the active ones.
        """
        before = self._active.get(role)
        self._active[role] = deployment
        if role is Role.MAIN:
            self._model = deployment.model
            if deployment.inspections is not None:
                replace_active(deployment.inspections)
            self._main_present.set()
        self._report_active()
        return before

    def withdraw(self, role: Role, reason: str) -> Deployment | None:
        """Leaves the role without a deployment: requests wait for a main model, and do without a canary or shadow."""
        before = self._active.pop(role, None)
        if role is Role.MAIN:
            self.absence = reason
            self._main_present.clear()
        self._report_active()
        return before

    async def health(self) -> Health:
        """Of the main model's engine."""
        main = self._active.get(Role.MAIN)
        return await main.engine.health() if main else Health(ready=False, reason=self.absence)

    async def aclose(self) -> None:
        """Cancels the shadow's requests and stops every active engine."""
        await self._shadow.aclose()
        deployments, self._active = [*self._active.values()], {}
        self.absence = "stopping"
        self._main_present.clear()
        await asyncio.gather(*(deployment.engine.aclose() for deployment in deployments))
        for deployment in deployments:
            deployment.release_checkpoint()

    async def _acquire(self, key: str, wait_s: float) -> tuple[Role, Deployment]:
        """The deployment of a request, which is counted as in flight there."""
        canary = self._active.get(Role.CANARY)
        if canary and self._canary and self._canary.takes(Role.CANARY, key):
            # Counted before the first await: a swap meanwhile must wait for this request before it stops the engine.
            canary.in_flight.acquire()
            try:
                ready = (await canary.engine.health()).ready
            except BaseException:
                canary.in_flight.release()
                raise
            if ready:
                return Role.CANARY, canary
            canary.in_flight.release()
        try:
            async with asyncio.timeout(wait_s):
                # A loop: the model that woke this task may be withdrawn again before the task runs.
                while (main := self._active.get(Role.MAIN)) is None:
                    await self._main_present.wait()
        except TimeoutError as error:
            raise EngineUnavailable(self.absence) from error
        main.in_flight.acquire()  # no await since it was read: it is still the active one
        return Role.MAIN, main

    def _with_shadow(self, role: Role, deployment: Deployment, key: str) -> Engine:
        """The engine itself, or one whose answers are compared with the shadow's."""
        shadow, share = self._active.get(Role.SHADOW), self._shadow_share
        if role is not Role.MAIN or not shadow or not share or not share.takes(Role.SHADOW, key):
            return deployment.engine
        return ShadowedEngine(deployment.engine, self._shadow.comparison_with(shadow))

    def _report_active(self) -> None:
        self._observer.record_active([(role, deployment.model) for role, deployment in self._active.items()])
