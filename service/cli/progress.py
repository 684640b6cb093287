"""Runs the same work over many inputs, concurrently, with a progress bar, results in the order of the inputs."""

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
    """Each input with its result, in the order of ``inputs``; at most ``concurrency`` are begun and not yet given.

    The first error ends the run: what has been begun is cancelled.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    begun: deque[tuple[_In, asyncio.Future[_Out]]] = deque()
    try:
        with Progress(*columns, console=console, transient=True) as progress:
            bar = progress.add_task(title, total=len(inputs))
            for upcoming in inputs:
                begun.append((upcoming, asyncio.ensure_future(work(upcoming))))
                if len(begun) == concurrency:
                    yield await _first(begun)
                    progress.advance(bar)
            while begun:
                yield await _first(begun)
                progress.advance(bar)
    finally:
        for _, task in begun:
            task.cancel()
        await asyncio.gather(*(task for _, task in begun), return_exceptions=True)


async def _first(begun: deque[tuple[_In, asyncio.Future[_Out]]]) -> tuple[_In, _Out]:
    result = await begun[0][1]
    return begun.popleft()[0], result
