"""A worker process that kills itself with SIGKILL at a named moment, or has an engine that fails on marked tickets.

It is put together from the product's own parts; only its store or its engine is wrapped. Started as

    python -m tests.support.dying_worker after_stage_a|mid_wave|before_save|before_ack|first_wave|poison|slow
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from dataclasses import replace

from engine.errors import EngineFailed
from engine.scripted import ScriptedEngine
from service.app.wiring import running
from service.models.router import ModelRouter
from service.photos.observe import PhotoObserver
from service.photos.stage_a import SummarisePhotos
from service.platform.settings import read_settings
from service.tickets.wiring import ticket_parts, ticket_worker
from vqc.grammar import VERDICT_GRAMMAR

POISON = "标签/毒"
"""A part of a summary that the engine fails on under ``poison``."""


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class DyingStore:
    """The real store, up to the moment."""

    def __init__(self, store, moment: str) -> None:
        self._store = store
        self._moment = moment

    def __getattr__(self, name: str):
        return getattr(self._store, name)

    async def update(self, group_id, change, **options):
        names = []

        def seen(ticket):
            after, events = change(ticket)
            names[:] = [event.name for event in events]
            if self._moment == "before_save" and "finished" in names:
                die()
            return after, events

        ticket = await self._store.update(group_id, seen, **options)
        if (self._moment, "stage_a") == ("after_stage_a", *names[:1]):
            die()
        if self._moment == "before_ack" and "finished" in names:
            die()
        return ticket


class DyingEngine(ScriptedEngine):
    """The scripted engine, up to the moment."""

    def __init__(self, moment: str) -> None:
        super().__init__(latency_s=0.5 if moment == "slow" else 0.01)
        self._moment = moment
        self._waves = 0

    async def generate(self, request):
        verdict = request.grammar == VERDICT_GRAMMAR
        self._waves += verdict
        if (self._moment, self._waves) in {("mid_wave", 3), ("first_wave", 1)}:
            asyncio.get_running_loop().call_later(0.005, die)
        if (
            self._moment == "poison"
            and verdict
            and any(POISON in part for part in request.user if isinstance(part, str))
        ):
            raise EngineFailed("the engine cannot stand this ticket")
        return await super().generate(request)


async def main(moment: str) -> None:
    settings = read_settings()
    async with running(settings) as context, ticket_parts(settings, context.metrics.registry) as parts:
        models = ModelRouter.of(DyingEngine(moment), context.models.router.model)
        stage_a = SummarisePhotos(models, context.photos.reader, PhotoObserver())
        dying = replace(parts, store=DyingStore(parts.store, moment))
        worker = ticket_worker(dying, models, stage_a, context.guidance.versions)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.stop)
        await worker.run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
