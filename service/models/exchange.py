"""How one engine replaces another: side by side where there is room for two, else one after the other.

No request is lost either way: those that are pinned to the old engine finish on it, new ones go to the new engine or wait
for it. An engine that does not become ready is stopped, and the old version is active afterwards. ``service.models.swap``
decides when a version is replaced, and with which.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog

from engine.errors import EngineUnavailable
from engine.protocol import Engine
from service.models.deployment import Checkpoint, Deployment
from service.models.roles import ServedModel
from service.models.router import ModelRouter
from service.platform.messages import LocalizedMessage
from service.platform.shares import Role

POLL_S = 0.2
"""Interval at which the health of a starting engine is checked."""

Launch = Callable[[Checkpoint], Awaitable[Engine]]
"""Begins to start an engine on a version; its health says how far it is."""

Report = Callable[[LocalizedMessage], None]
"""Receives what the exchange is doing."""

_log = structlog.get_logger("vqc.models")


class Exchange:
    """Starts and stops engines. Pinned requests get ``drain_s`` to finish."""

    def __init__(self, router: ModelRouter, launch: Launch, *, drain_s: float) -> None:
        self._router = router
        self._launch = launch
        self._drain_s = drain_s
        self._stopping: set[Deployment] = set()
        """No longer active, and not stopped yet."""

    @property
    def stopping(self) -> list[Deployment]:
        """The deployments that finish their requests before they are stopped."""
        return [*self._stopping]

    async def launch(self, role: Role, checkpoint: Checkpoint) -> None:
        """Activates a version at once; its engine has only begun to start."""
        engine = await self._launch(checkpoint)
        self._router.activate(role, Deployment(engine, checkpoint.model, checkpoint))

    async def blue_green(self, role: Role, checkpoint: Checkpoint, report: Report) -> tuple[float, int]:
        """The seconds that two engines were up, and the requests that did not finish in time.

        Raises:
            EngineUnavailable: the new engine did not become ready.
        """
        launched = _now()
        engine = await self._start_engine(checkpoint, report)
        # Activated before the old one is drained: between the two no request finds the role without a model.
        old = self._router.activate(role, Deployment(engine, checkpoint.model, checkpoint))
        if old is None:
            return 0.0, 0
        cut = await self.retire(old, report)
        return _now() - launched, cut

    async def drain_and_restart(self, role: Role, checkpoint: Checkpoint, report: Report) -> int:
        """The requests that did not finish in time. The role must have an active deployment.

        Raises:
            EngineUnavailable: the new engine did not become ready; the old version has been started again.
        """
        old = self._router.withdraw(role, f"replacing {checkpoint.model.alias!r}, without room for two engines")
        assert old is not None
        cut = await self._stop(old, report)
        try:
            engine = await self._start_engine(checkpoint, report)
        except Exception:
            # Back to the old version. Its lease was kept: the files may not be collected before this is decided.
            await self._restore(role, old, report)
            raise
        except BaseException:
            old.release_checkpoint()  # cancelled: the service itself stops, so no engine is started again
            raise
        self._router.activate(role, Deployment(engine, checkpoint.model, checkpoint))
        old.release_checkpoint()
        return cut

    async def retire(self, deployment: Deployment, report: Report) -> int:
        """Stops a deployment that is no longer active, once its requests are done. Returns how many were cut off."""
        cut = await self._stop(deployment, report)
        deployment.release_checkpoint()
        return cut

    async def aclose(self) -> None:
        """Stops at once what is no longer active."""
        for deployment in self.stopping:
            await deployment.engine.aclose()
            self._stopping.discard(deployment)
            deployment.release_checkpoint()

    async def _stop(self, deployment: Deployment, report: Report) -> int:
        self._stopping.add(deployment)
        finishing = {"version": deployment.model.digest, "requests": deployment.in_flight.count}
        report(LocalizedMessage.of("finishing", "{version} finishes {requests} requests", **finishing))
        cut = await deployment.in_flight.drain(self._drain_s)
        if cut:
            _log.warning("requests_cut", digest=deployment.model.digest, requests=cut, after_s=self._drain_s)
        await deployment.engine.aclose()
        self._stopping.discard(deployment)
        return cut

    async def _restore(self, role: Role, old: Deployment, report: Report) -> None:
        """Starts the old version again. It becomes active even if it does not become ready: its health then says why."""
        assert old.checkpoint is not None  # only versions that the service launched are replaced
        engine = await self._launch(old.checkpoint)
        restored = Deployment(engine, old.model, old.checkpoint)
        # Until it is active only this set knows the engine: without it ``aclose`` would leave the process behind.
        self._stopping.add(restored)
        with suppress(EngineUnavailable):
            await self._wait_until_ready(
                engine, "starting_again", "starting {version} again: {state}", old.model, report
            )
        self._stopping.discard(restored)
        self._router.activate(role, restored)

    async def _start_engine(self, checkpoint: Checkpoint, report: Report) -> Engine:
        """An engine that is ready; one that does not become ready is stopped."""
        engine, model = await self._launch(checkpoint), checkpoint.model
        try:
            await self._wait_until_ready(engine, "starting", "starting {version} for '{alias}': {state}", model, report)
        except BaseException:
            await engine.aclose()
            raise
        return engine

    async def _wait_until_ready(
        self, engine: Engine, code: str, sentence: str, model: ServedModel, report: Report
    ) -> None:
        while not (health := await engine.health()).ready:
            if health.restarts:  # a first start that failed would fail again: the engine's own retries are for crashes
                raise EngineUnavailable(health.reason.partition("; restarting")[0])
            values = {
                "version": model.digest,
                "alias": model.alias,
                "state": health.reason,
                "phase": health.phase or "",
            }
            step = LocalizedMessage.of(code, sentence, **values)
            report(step)
            self._router.absence = step.text  # what a request that waits for a main model is answered after ``wait_s``
            await asyncio.sleep(POLL_S)


def _now() -> float:
    return asyncio.get_running_loop().time()
