"""A measurement window of a closed loop: warm-up first, then ``seconds`` that count."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from math import inf
from time import perf_counter
from typing import Generic, TypeVar

from loadtest.http.requests import Target
from loadtest.load.job import Job
from loadtest.load.outcome import RequestOutcome
from loadtest.load.sender import closed_loop

_S = TypeVar("_S")


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowResult(Generic[_S]):
    """``outcomes`` are all, those of the warm-up too; ``counted`` are the answers that arrived within the window.

    ``before`` and ``after`` are the samples at its two ends, ``seconds`` apart.
    """

    outcomes: list[RequestOutcome]
    counted: list[RequestOutcome]
    before: _S
    after: _S
    seconds: float


class Window:
    """The window begins after ``warm_up_s``, once there were as many outcomes as ``clients``."""

    def __init__(self, clients: int, seconds: float, warm_up_s: float) -> None:
        self._clients = clients
        self._seconds = seconds
        self._warm_at = perf_counter() + warm_up_s
        self._begin = inf
        self.begun = asyncio.Event()

    def is_ongoing(self, outcomes: Sequence[RequestOutcome]) -> bool:
        """Whether the window has not ended yet."""
        now = perf_counter()
        if self._begin == inf and now >= self._warm_at and len(outcomes) >= self._clients:
            self._begin = now
            self.begun.set()
        return now < self._begin + self._seconds

    def counts(self, outcome: RequestOutcome) -> bool:
        """Whether a request was answered within the window."""
        return not outcome.has_failed and self._begin < outcome.ended <= self._begin + self._seconds


async def measure_window(
    target: Target,
    job: Job,
    clients: int,
    numbers: Iterator[int],
    *,
    seconds: float,
    warm_up_s: float,
    timeout_s: float,
    sample: Callable[[], Awaitable[_S]],
    spread_s: float = 0.0,
    check_every: int = 1,
) -> WindowResult[_S]:
    """Runs ``closed_loop`` through a window; ``sample`` is taken when the window begins and ``seconds`` later.

    Raises:
        whatever ``sample`` raises.
    """
    window = Window(clients, seconds, warm_up_s)

    async def take_samples() -> tuple[_S, _S, float]:
        await window.begun.wait()
        before, began = await sample(), perf_counter()
        await asyncio.sleep(seconds)
        after = await sample()
        return before, after, perf_counter() - began

    sampling = asyncio.create_task(take_samples())
    try:
        outcomes = await closed_loop(
            target, job, clients, numbers, timeout_s,
            is_ongoing=window.is_ongoing, spread_s=spread_s, check_every=check_every,
        )  # fmt: skip
        before, after, apart_s = await sampling
    finally:
        sampling.cancel()
    counted = [one for one in outcomes if window.counts(one)]
    return WindowResult(outcomes=outcomes, counted=counted, before=before, after=after, seconds=apart_s)
