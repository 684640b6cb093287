"""``vqc-bench pair``: our service and the vLLM behind it, asked the same in turns, so that the difference is what we add.

One engine serves both doors. At each level, a load and a number of clients, a window of ours and a window of raw vLLM follow
each other, in alternating order; every photo is new to the engine. A round is a pair of each level, so that time that runs out
takes pairs from all of them.
"""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field
from itertools import count
from math import inf
from pathlib import Path
from time import perf_counter
from typing import Literal

from engine.client import VllmClient
from loadtest.load.engine_metrics import TOKENS, summed
from loadtest.load.outcome import Outcome
from loadtest.load.pair_rows import PairRow, Window, row_of
from loadtest.load.payloads import Supply
from loadtest.load.reading import Job
from loadtest.load.scenario import Load, Photos, Scenario
from loadtest.load.sender import closed_loop
from loadtest.load.workers import Door, problems
from loadtest.quantiles import quantile
from loadtest.targets.service import Served, in_front_of, our_service

_WARM_UP = 0.25
"""Least share of a window, before it, in which answers do not count yet."""

_SPREAD = 1.5
"""Most windows over which the clients' first requests are spread."""

_FIRST_CLIENTS = 64
"""Clients of the requests before everything, which warm the engine up for both sides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairPlan:
    """What is asked, by how many clients, in windows of ``seconds``, ``rounds`` pairs each.

    ``sides`` ``free`` compares raw vLLM under our grammar with raw vLLM without one, instead of us with it; ``raw`` asks raw
    vLLM alone. ``budget_s`` is the most time that all of it may take: pairs that would not fit any more are left out.
    """

    loads: tuple[Load, ...]
    clients: tuple[int, ...]
    seconds: float
    rounds: int
    photos: Photos
    timeout_s: float
    malformed_too: bool
    sides: Literal["ours", "free", "raw"] = "ours"
    budget_s: float = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PairReport:
    """The rows that fitted into the time, and the problems."""

    rows: tuple[PairRow, ...]
    problems: tuple[str, ...]


async def compare(
    engine: Served,
    model: str,
    plan: PairPlan,
    supply: Supply,
    starting: Callable[[str], None] = lambda _: None,
    finished: Callable[[PairRow], None] = lambda _: None,
) -> PairReport:
    """The report. ``engine`` is a vLLM on a Unix socket that serves ``model``; ``finished`` gets the row of a level after each
    pair, of all its pairs so far.

    Raises:
        BenchFailed: the service does not start, or one of the two goes away.
    """
    began, socket = perf_counter(), Path(str(engine.target.uds))
    scenario = Scenario(mix=plan.loads, photos=plan.photos, timeout_s=plan.timeout_s)
    async with AsyncExitStack() as stack:
        raw = Door(target=engine.target, model=model).jobs(scenario, supply)
        server, first, second = engine, raw, raw
        if plan.sides == "free":
            second = Door(target=engine.target, model=model, constrained=False).jobs(scenario, supply)
        elif plan.sides == "ours":
            starting("starting the service")
            server = await stack.enter_async_context(_service(engine, model, plan))
            first = Door(target=server.target).jobs(scenario, supply)
        metrics = VllmClient(socket, model)
        stack.push_async_callback(metrics.aclose)
        measuring = _Measuring(plan, (server, engine), metrics, began)
        for job in raw:
            starting(f"{job.label}: warming up")
            await measuring.warm_up(job)
        levels = [_Level(sides, clients) for clients in plan.clients for sides in zip(first, second, strict=True)]
        for n in range(plan.rounds):
            for place, level in enumerate(levels):
                starting(f"{level.label}, {level.clients} clients, pair {n + 1} of {plan.rounds}")
                if await measuring.pair(level, first=(n + place) % 2):
                    finished(level.row)
        told = [one for level in levels for one in problems(level.outcomes, malformed_too=plan.malformed_too)]
        return PairReport(
            rows=tuple(level.row for level in levels if level.pairs), problems=(*measuring.problems, *told)
        )


def _service(engine: Served, model: str, plan: PairPlan) -> AbstractAsyncContextManager[Served]:
    at_once = {"VQC_WORKER_CONCURRENCY": str(max(plan.clients))}  # as many tickets as raw vLLM gets requests
    return our_service(in_front_of(engine, model) | at_once, tickets=any(load.task == "stage-b" for load in plan.loads))


@dataclass(slots=True)
class _Level:
    """A load, as a job for each side, by so many clients; the windows (ours, raw) and answers of its pairs so far."""

    jobs: tuple[Job, Job]
    clients: int
    pairs: list[tuple[Window | None, Window]] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    lasted_s: float = 0.0

    @property
    def label(self) -> str:
        return self.jobs[0].label

    @property
    def row(self) -> PairRow:
        return row_of(self.label, self.clients, self.pairs, self.outcomes)


class _Measuring:
    """Measures pair after pair while there is time."""

    def __init__(
        self,
        plan: PairPlan,
        servers: tuple[Served, Served],
        metrics: VllmClient,
        began: float,
    ) -> None:
        self.problems: list[str] = []
        self._plan = plan
        self._servers = servers
        self._metrics = metrics
        self._began = began
        self._numbers = count()
        self._answer_s: dict[str, float] = {}

    async def warm_up(self, job: Job) -> None:
        """Answers for some clients, which nothing counts: kernels and grammars are compiled at the first one. The last
        ones say how long an answer takes among so many.
        """
        found = list[Outcome]()
        for _ in range(2):
            found = await closed_loop(
                self._servers[1].target,
                job,
                self._first_clients,
                self._next,
                lambda done: not done,
                self._plan.timeout_s,
            )
        self._answer_s[job.label] = statistics.median(one.ended - one.sent for one in found)

    @property
    def _first_clients(self) -> int:
        return min(_FIRST_CLIENTS, max(self._plan.clients))

    async def pair(self, level: _Level, first: int) -> bool:
        """Whether there was time for a pair more, and answers in it. Side ``first`` is asked first: 0 ours, 1 raw."""
        began = perf_counter()
        lasts = level.lasted_s or 2 * self._plan.seconds * (1 + _WARM_UP)
        if began + lasts - self._began > self._plan.budget_s:
            return False
        sides = (1,) if self._plan.sides == "raw" else (first, 1 - first)
        found = {side: await self._window(side, level.jobs[side], level.clients, level.outcomes) for side in sides}
        level.lasted_s = perf_counter() - began
        if not (raw := found[1]) or (self._plan.sides != "raw" and not found[0]):
            return False
        level.pairs.append((found.get(0), raw))
        return True

    async def _window(self, side: int, job: Job, clients: int, outcomes: list[Outcome]) -> Window | None:
        self._servers[side].check_alive()
        # About one answer's time at this level, rather more than less: what is spread over less comes in waves again.
        among_so_many_s = self._answer_s[job.label] * max(1.0, clients / self._first_clients)
        spread_s = min(among_so_many_s, self._plan.seconds * _SPREAD)
        span = _Span(clients, self._plan.seconds, spread_s)
        target = self._servers[side].target
        async with asyncio.TaskGroup() as group:
            rate = group.create_task(self._token_rate(span))
            new = await closed_loop(target, job, clients, self._next, span.ongoing, self._plan.timeout_s, spread_s)
        outcomes += new
        counted = [one for one in new if not one.failed and span.counts(one)]
        if not counted:
            self.problems.append(
                f"{job.label}: no answer in a window of {self._plan.seconds:g} s with {clients} clients"
            )
            return None
        latencies = sorted((one.ended - one.sent) * 1000 for one in counted)
        return Window(
            per_s=round(len(counted) / self._plan.seconds, 3),
            tokens_per_s=rate.result(),
            p50_ms=round(quantile(latencies, 0.5), 2),
            p99_ms=round(quantile(latencies, 0.99), 2),
        )

    def _next(self) -> int:
        return next(self._numbers)

    async def _token_rate(self, span: _Span) -> float | None:
        """Tokens a second that the engine writes in ``span``, once it has ended."""
        await span.begun.wait()
        before, began = await self._tokens(), perf_counter()
        await asyncio.sleep(self._plan.seconds)
        after, ended = await self._tokens(), perf_counter()
        return None if before is None or after is None else round((after - before) / (ended - began), 1)

    async def _tokens(self) -> float | None:
        """Tokens that the engine has written since its start."""
        return summed(await self._metrics.metrics()).get(TOKENS)


class _Span:
    """The ``seconds`` that count: from when all have asked, there were as many answers as clients, and a moment has passed."""

    def __init__(self, clients: int, seconds: float, spread_s: float = 0.0) -> None:
        self._clients = clients
        self._seconds = seconds
        self._warm_at = perf_counter() + max(seconds * _WARM_UP, spread_s)
        self._begin = inf
        self.begun = asyncio.Event()

    def ongoing(self, answered: Sequence[Outcome]) -> bool:
        """Whether the span has not ended yet."""
        now = perf_counter()
        if self._begin == inf and now >= self._warm_at and len(answered) >= self._clients:
            self._begin = now
            self.begun.set()
        return now < self._begin + self._seconds

    def counts(self, outcome: Outcome) -> bool:
        """Whether an answer came in it."""
        return self._begin < outcome.ended <= self._begin + self._seconds
