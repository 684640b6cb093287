"""Runs a measurement on uvloop; SIGINT and SIGTERM cancel it, so that everything it started is stopped."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Coroutine
from typing import TypeVar

import uvloop

_T = TypeVar("_T")


def run(work: Coroutine[object, object, _T]) -> _T:
    """The result of ``work``. SIGINT raises ``KeyboardInterrupt``, SIGTERM exits with 143, both after cleaning up."""
    terminated = False

    async def cancellable() -> _T:
        task = asyncio.current_task()
        assert task is not None

        def on_terminate() -> None:
            nonlocal terminated
            terminated = True
            task.cancel()

        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, on_terminate)
        return await work

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(cancellable())
    except asyncio.CancelledError:
        if terminated:
            sys.exit(128 + signal.SIGTERM)
        raise
