"""How one engine takes another's place: side by side where there is room for two, else one after the other.

No request is lost either way: those that are pinned to the old engine finish on it, new ones go to the new engine or wait
for it. An engine that does not come up is stopped, and the old one is in force afterwards. When to do so, and with which
version, is ``service.models.swap``'s.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog

from engine.errors import EngineUnavailable
from engine.protocol import Engine
from service.models.roles import ServedModel
from service.models.router import Checkpoint, Deployment, ModelRouter
from service.platform.messages import Remark
from service.platform.shares import Role

POLL_S = 0.2
"""Between two looks at an engine that is starting."""

Launch = Callable[[Checkpoint], Awaitable[Engine]]
"""Begins to start an engine on a version; its health says how far it is."""

_log = structlog.get_logger("vqc.models")


class Exchange:
    """Starts and stops engines. ``drain_s`` is the most that pinned requests get to finish."""

    def __init__(self, router: ModelRouter, launch: Launch, *, drain_s: float) -> None:
        self.step = Remark(code="idle", text="")
        """What is being done."""
        self._router = router
        self._launch = launch
        self._drain_s = drain_s
        self._stopping: set[Deployment] = set()
        """Out of force and not stopped yet."""

    @property
    def stopping(self) -> list[Deployment]:
        """What finishes its requests before it is stopped."""
        return [*self._stopping]

    async def begin(self, role: Role, checkpoint: Checkpoint) -> None:
        """Puts a version in force whose engine has only begun to start."""
        engine = await self._launch(checkpoint)
        self._router.put_in_force(role, Deployment(engine, checkpoint.model, checkpoint))

    async def blue_green(self, role: Role, checkpoint: Checkpoint) -> tuple[float, int]:
        """The seconds that two engines were up, and the requests that did not finish in time.

        Raises:
            EngineUnavailable: the new engine did not come up.
        """
        launched = _now()
        engine = await self._up(checkpoint)
        old = self._router.put_in_force(role, Deployment(engine, checkpoint.model, checkpoint))
        if old is None:
            return 0.0, 0
        cut = await self.retire(old)
        return _now() - launched, cut

    async def drain_and_restart(self, role: Role, checkpoint: Checkpoint) -> int:
        """The requests that did not finish in time. Something must be in force in the role.

        Raises:
            EngineUnavailable: the new engine did not come up; the old version has been started again.
        """
        old = self._router.withdraw(role, f"replacing {checkpoint.model.alias!r}, without room for two engines")
        assert old is not None
        cut = await self._stopped(old)
        try:
            engine = await self._up(checkpoint)
        except Exception:
            await self._restore(role, old)
            raise
        except BaseException:
            _release(old)
            raise
        self._router.put_in_force(role, Deployment(engine, checkpoint.model, checkpoint))
        _release(old)
        return cut

    async def retire(self, deployment: Deployment) -> int:
        """Stops what was taken out of force, once its requests are done; how many did not get done in time."""
        cut = await self._stopped(deployment)
        _release(deployment)
        return cut

    async def aclose(self) -> None:
        """Stops what is out of force, at once."""
        for deployment in self.stopping:
            await deployment.engine.aclose()
            self._stopping.discard(deployment)
            _release(deployment)

    async def _stopped(self, deployment: Deployment) -> int:
        self._stopping.add(deployment)
        finishing = {"version": deployment.model.digest, "requests": deployment.holders}
        self.step = Remark.of("finishing", "{version} finishes {requests} requests", **finishing)
        cut = await deployment.drained(self._drain_s)
        if cut:
            _log.warning("requests_cut", digest=deployment.model.digest, requests=cut, after_s=self._drain_s)
        await deployment.engine.aclose()
        self._stopping.discard(deployment)
        return cut

    async def _restore(self, role: Role, old: Deployment) -> None:
        """Starts the old version again. Should it not come up either it is in force all the same, and its health says why."""
        assert old.checkpoint is not None  # only versions that we launched are replaced
        engine = await self._launch(old.checkpoint)
        restored = Deployment(engine, old.model, old.checkpoint)
        self._stopping.add(restored)
        with suppress(EngineUnavailable):
            await self._ready(engine, "starting_again", "starting {version} again: {state}", old.model)
        self._stopping.discard(restored)
        self._router.put_in_force(role, restored)

    async def _up(self, checkpoint: Checkpoint) -> Engine:
        """An engine that answers; one that does not come up is stopped."""
        engine = await self._launch(checkpoint)
        try:
            await self._ready(engine, "starting", "starting {version} for '{alias}': {state}", checkpoint.model)
        except BaseException:
            await engine.aclose()
            raise
        return engine

    async def _ready(self, engine: Engine, code: str, sentence: str, model: ServedModel) -> None:
        while not (health := await engine.health()).ready:
            if health.restarts:
                raise EngineUnavailable(health.reason.partition("; restarting")[0])
            values = {
                "version": model.digest,
                "alias": model.alias,
                "state": health.reason,
                "phase": health.phase or "",
            }
            self.step = Remark.of(code, sentence, **values)
            self._router.absence = self.step.text
            await asyncio.sleep(POLL_S)


def _release(deployment: Deployment) -> None:
    if deployment.checkpoint:
        deployment.checkpoint.release()


def _now() -> float:
    return asyncio.get_running_loop().time()
