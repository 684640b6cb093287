"""``vqc-bench pair``: our service and the vLLM behind it, asked the same in turns, so that the difference is what we add.

One engine serves both doors. At each number of clients a window of ours and a window of raw vLLM follow each other, in
alternating order; every photo is new to the engine.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from itertools import count
from math import inf
from pathlib import Path
from time import perf_counter
from typing import Literal

from engine.client import VllmClient
from loadtest.load.crew import Door, problems
from loadtest.load.outcome import Outcome
from loadtest.load.reading import Job
from loadtest.load.scenario import Load, Photos, Scenario
from loadtest.load.sender import closed_loop
from loadtest.load.serving import Served, our_service
from loadtest.load.supply import Supply
from loadtest.quantiles import quantile

_WARM_UP = 0.25
"""Least share of a window, before it, in which answers do not count yet."""

_FIRST_CLIENTS = 64
"""Clients of the requests before everything, which warm the engine up for both sides."""

_TOKENS = re.compile(r"^vllm:generation_tokens_total\{[^}]*\} (\S+)$", re.MULTILINE)


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
class Window:
    """Answers a second once every client has had one, engine tokens a second over all of it, and milliseconds."""

    per_s: float
    tokens_per_s: float | None
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PairRow:
    """One level. Sides are the medians over the pairs; ``ratio`` and ``token_ratio`` the median of ours ÷ raw within each.

    ``overhead_ms`` is the median of the differences of p50. ``spread`` is the lowest and highest ratio of a pair. All of them
    and ``ours`` are None where raw vLLM was asked alone.
    """

    label: str
    clients: int
    pairs: int
    ours: Window | None
    raw: Window
    ratio: float | None
    spread: tuple[float, float] | None
    token_ratio: float | None
    overhead_ms: float | None
    answers: int
    errors: int
    malformed: int


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
    """The report. ``engine`` is a vLLM on a Unix socket that serves ``model``; ``finished`` gets each row at once.

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
            server = await stack.enter_async_context(_service(socket, model, plan))
            first = Door(target=server.target).jobs(scenario, supply)
        metrics = VllmClient(socket, model)
        stack.push_async_callback(metrics.aclose)
        measuring = _Measuring(plan, (server, engine), metrics, began, starting)
        for job in raw:
            await measuring.warm_up(job)
        rows = []
        for clients in plan.clients:
            for sides in zip(first, second, strict=True):
                if row := await measuring.level(sides, clients):
                    rows.append(row)
                    finished(row)
        return PairReport(rows=tuple(rows), problems=tuple(measuring.problems))


def _service(socket: Path, model: str, plan: PairPlan) -> AbstractAsyncContextManager[Served]:
    settings = {
        "VQC_ENGINE": "external",
        "VQC_ENGINE_URL": f"unix://{socket}",
        "VQC_MODEL_ALIAS": model,
        "VQC_WORKER_CONCURRENCY": str(max(plan.clients)),  # as many tickets at once as raw vLLM gets requests
    }
    return our_service(settings, tickets=any(load.task == "stage-b" for load in plan.loads))


class _Measuring:
    """Measures level after level while there is time."""

    def __init__(
        self,
        plan: PairPlan,
        servers: tuple[Served, Served],
        metrics: VllmClient,
        began: float,
        starting: Callable[[str], None],
    ) -> None:
        self.problems: list[str] = []
        self._plan = plan
        self._servers = servers
        self._metrics = metrics
        self._began = began
        self._starting = starting
        self._numbers = count()
        self._windows = 0

    async def warm_up(self, job: Job) -> None:
        """One answer for each of some clients, which nothing counts: kernels and grammars are compiled at the first one."""
        self._starting(f"{job.label}: warming up")
        clients, target = min(_FIRST_CLIENTS, max(self._plan.clients)), self._servers[1].target
        await closed_loop(target, job, clients, self._next, lambda answered: not answered, self._plan.timeout_s)

    async def level(self, jobs: tuple[Job, Job], clients: int) -> PairRow | None:
        """The row; None when there was no time for a pair. Who goes first changes from pair to pair."""
        pairs: list[tuple[Window | None, Window]] = []
        outcomes: list[Outcome] = []
        lasted = 2 * self._plan.seconds * (1 + _WARM_UP)
        label = jobs[0].label
        for n in range(self._plan.rounds):
            began = perf_counter()
            if began + lasted - self._began > self._plan.budget_s:
                break
            self._starting(f"{label}, {clients} clients, pair {n + 1} of {self._plan.rounds}")
            sides = (1,) if self._plan.sides == "raw" else (0, 1) if self._windows % 4 == 0 else (1, 0)
            found = {side: await self._window(side, jobs[side], clients, outcomes) for side in sides}
            lasted = perf_counter() - began
            if (raw := found[1]) and (self._plan.sides == "raw" or found[0]):
                pairs.append((found.get(0), raw))
        self.problems += problems(outcomes, malformed_too=self._plan.malformed_too)
        return _row(label, clients, pairs, outcomes) if pairs else None

    async def _window(self, side: int, job: Job, clients: int, outcomes: list[Outcome]) -> Window | None:
        self._servers[side].check_alive()
        self._windows += 1
        span = _Span(clients, self._plan.seconds)
        tokens, began = await self._tokens(), perf_counter()
        target = self._servers[side].target
        new = await closed_loop(target, job, clients, self._next, span.ongoing, self._plan.timeout_s)
        outcomes += new
        took = perf_counter() - began
        generated = None if tokens is None else (await self._tokens() or 0.0) - tokens
        counted = [one for one in new if not one.failed and span.counts(one)]
        if not counted:
            self.problems.append(
                f"{job.label}: no answer in a window of {self._plan.seconds:g} s with {clients} clients"
            )
            return None
        latencies = sorted((one.ended - one.sent) * 1000 for one in counted)
        return Window(
            per_s=round(len(counted) / self._plan.seconds, 3),
            tokens_per_s=None if generated is None else round(generated / took, 1),
            p50_ms=round(quantile(latencies, 0.5), 2),
            p99_ms=round(quantile(latencies, 0.99), 2),
        )

    def _next(self) -> int:
        return next(self._numbers)

    async def _tokens(self) -> float | None:
        """Tokens that the engine has written since its start."""
        found = _TOKENS.findall(await self._metrics.metrics())
        return sum(map(float, found)) if found else None


class _Span:
    """The ``seconds`` that count: they begin when there were as many answers as clients, and a moment has passed."""

    def __init__(self, clients: int, seconds: float) -> None:
        self._clients = clients
        self._seconds = seconds
        self._warm_at = perf_counter() + seconds * _WARM_UP
        self._begin = inf

    def ongoing(self, answered: Sequence[Outcome]) -> bool:
        """Whether the span has not ended yet."""
        now = perf_counter()
        if self._begin == inf and now >= self._warm_at and len(answered) >= self._clients:
            self._begin = now
        return now < self._begin + self._seconds

    def counts(self, outcome: Outcome) -> bool:
        """Whether an answer came in it."""
        return self._begin < outcome.ended <= self._begin + self._seconds


def _row(
    label: str, clients: int, pairs: Sequence[tuple[Window | None, Window]], outcomes: Sequence[Outcome]
) -> PairRow:
    both = [(ours, raw) for ours, raw in pairs if ours]
    ratios = [ours.per_s / raw.per_s for ours, raw in both]
    tokens = [
        ours.tokens_per_s / raw.tokens_per_s for ours, raw in both if ours.tokens_per_s is not None and raw.tokens_per_s
    ]
    return PairRow(
        label=label,
        clients=clients,
        pairs=len(pairs),
        ours=_median([ours for ours, _ in both]) if both else None,
        raw=_median([raw for _, raw in pairs]),
        ratio=round(statistics.median(ratios), 3) if both else None,
        spread=(round(min(ratios), 3), round(max(ratios), 3)) if both else None,
        token_ratio=round(statistics.median(tokens), 3) if tokens else None,
        overhead_ms=round(statistics.median(ours.p50_ms - raw.p50_ms for ours, raw in both), 2) if both else None,
        answers=len(outcomes),
        errors=sum(one.failed for one in outcomes),
        malformed=sum(one.malformed for one in outcomes),
    )


def _median(windows: Sequence[Window]) -> Window:
    tokens = [window.tokens_per_s for window in windows if window.tokens_per_s is not None]
    return Window(
        per_s=statistics.median(window.per_s for window in windows),
        tokens_per_s=statistics.median(tokens) if tokens else None,
        p50_ms=statistics.median(window.p50_ms for window in windows),
        p99_ms=statistics.median(window.p99_ms for window in windows),
    )
