"""Runs a command's work with an engine that is up, showing how far its start is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from rich.console import Console

from engine.errors import EngineUnavailable
from service.app.context import Context
from service.app.wiring import running
from service.models.router import ModelRouter
from service.platform.logs import configure
from service.platform.settings import Settings

_T = TypeVar("_T")

console = Console(stderr=True)


def run_with_engine(settings: Settings, work: Callable[[Context], Awaitable[_T]]) -> _T:
    """The result of ``work``, called once the engine answers.

    Raises:
        EngineUnavailable: the engine does not come up; the message says why.
    """
    configure("warning")

    async def session() -> _T:
        async with running(settings) as context:
            with console.status("engine: starting") as status:
                await _until_ready(context.models.router, status.update)
            return await work(context)

    return asyncio.run(session())


async def _until_ready(models: ModelRouter, say: Callable[[str], None]) -> None:
    while not (health := await models.health()).ready:
        if health.restarts:
            raise EngineUnavailable(health.reason)
        say(f"engine: {health.reason}")
        await asyncio.sleep(0.5)
