"""Runs a command's work once the engine is ready, and shows the progress of its start."""

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


def run_with_engine(
    settings: Settings, work: Callable[[Context], Awaitable[_T]], *, log_level: str | None = None
) -> _T:
    """The result of ``work``, which is called once the engine is ready.

    Log lines start at ``log_level``, by default at VQC_LOG_LEVEL if it is given, else at warnings.

    Raises:
        EngineUnavailable: the engine does not start; the message says why.
    """
    configure(log_level or (settings.log_level if "log_level" in settings.model_fields_set else "warning"))

    async def session() -> _T:
        async with running(settings) as context:
            with console.status("engine: starting") as status:
                await _wait_until_ready(context.models.router, status.update)
            return await work(context)

    return asyncio.run(session())


async def _wait_until_ready(models: ModelRouter, show: Callable[[str], None]) -> None:
    while not (health := await models.health()).ready:
        if health.restarts:
            raise EngineUnavailable(health.reason)
        show(f"engine: {health.reason}")
        await asyncio.sleep(0.5)
