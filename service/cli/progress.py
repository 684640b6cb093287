"""Runs work over many inputs concurrently, with a progress bar; results come in the order of the inputs."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import TypeVar

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from service.cli.session import console

_In = TypeVar("_In")
_Out = TypeVar("_Out")


async def in_order(
    inputs: Sequence[_In], work: Callable[[_In], Awaitable[_Out]], *, title: str, concurrency: int = 16
) -> AsyncGenerator[tuple[_In, _Out], None]:
    """Each input with its result, in the order of ``inputs``; at most ``concurrency`` are in flight.

    The first error ends the run and cancels the work in flight.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    in_flight: deque[tuple[_In, asyncio.Future[_Out]]] = deque()
    try:
        with Progress(*columns, console=console, transient=True) as progress:
            bar = progress.add_task(title, total=len(inputs))
            for upcoming in inputs:
                in_flight.append((upcoming, asyncio.ensure_future(work(upcoming))))
                if len(in_flight) == concurrency:
                    yield await _first(in_flight)
                    progress.advance(bar)
            while in_flight:
                yield await _first(in_flight)
                progress.advance(bar)
    finally:
        for _, task in in_flight:
            task.cancel()
        await asyncio.gather(*(task for _, task in in_flight), return_exceptions=True)


async def _first(in_flight: deque[tuple[_In, asyncio.Future[_Out]]]) -> tuple[_In, _Out]:
    result = await in_flight[0][
        1
    ]  # not removed before it is done: an error must still find it among the work to cancel
    return in_flight.popleft()[0], result
