"""Two sides measured alternately under the same load, so that only the difference between them counts.

At each level (a kind of request and a number of clients) a window of one side and a window of the other follow each other, in
alternating order. A round is one pair of each level: if time runs out, every level loses the same number of pairs.
"""

from __future__ import annotations

import statistics
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import count
from time import perf_counter

from loadtest.load.job import Job
from loadtest.load.outcome import RequestOutcome, distinct_problems
from loadtest.load.sender import closed_loop
from loadtest.load.windows import WindowResult, measure_window
from loadtest.process_usage import ProcessUsage
from loadtest.quantiles import quantile
from loadtest.targets.server import RunningServer

_WARM_UP = 0.25
"""The shortest warm-up of a window, as a share of it."""

_SPREAD = 1.5
"""The longest time over which the clients' first requests are spread, in windows."""

_FIRST_CLIENTS = 64
"""Clients of the warm-up before the first pair."""

Tokens = float | None
"""Tokens that the engine has generated since its start; None if there is no engine to ask."""


async def _no_tokens() -> Tokens:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of the two: a server, and a job for each kind of request."""

    server: RunningServer
    jobs: Sequence[Job]


@dataclass(frozen=True, slots=True, kw_only=True)
class PairPlan:
    """``rounds`` pairs of windows of ``seconds`` for each number of clients.

    ``budget_s`` is the time limit for everything; pairs that do not fit are left out. ``malformed_too`` counts texts that do
    not parse as problems. ``check_every``: see ``closed_loop``.
    """

    clients: tuple[int, ...]
    seconds: float
    rounds: int
    timeout_s: float
    malformed_too: bool = True
    check_every: int = 1
    budget_s: float = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SideFigures:
    """Answers and engine tokens per second of one side, latencies, and CPU time per answer of its processes."""

    per_s: float
    tokens_per_s: float | None
    p50_ms: float
    p99_ms: float
    cpu_ms: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PairRow:
    """One level. Each side has its medians over the pairs; ``ratio`` and ``token_ratio`` are medians of ours ÷ raw per pair.

    ``overhead_ms`` is the median difference of p50, ``spread`` the lowest and the highest ratio of a pair. All of these and
    ``ours`` are None if only raw vLLM was measured.
    """

    label: str
    clients: int
    pairs: int
    ours: SideFigures | None
    raw: SideFigures
    ratio: float | None
    spread: tuple[float, float] | None
    token_ratio: float | None
    overhead_ms: float | None
    answers: int
    errors: int
    malformed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PairReport:
    """The levels that were measured, and the problems."""

    rows: tuple[PairRow, ...]
    problems: tuple[str, ...]


@dataclass(slots=True)
class Level:
    """A job per side, by ``clients``; the pairs of windows (ours, raw) and the outcomes so far."""

    jobs: tuple[Job, Job]
    clients: int
    pairs: list[tuple[SideFigures | None, SideFigures]] = field(default_factory=list)
    outcomes: list[RequestOutcome] = field(default_factory=list)
    lasted_s: float = 0.0

    @property
    def label(self) -> str:
        """Its kind of request."""
        return self.jobs[0].label

    @property
    def row(self) -> PairRow:
        """The row of the pairs so far; there must be one."""
        return pair_row(self.label, self.clients, self.pairs, self.outcomes)


class PairMeasurement:
    """Measures pair after pair within the time limit.

    ``warm_up`` names the sides (0 ours, 1 raw) that get requests before the first pair: both, unless they share an engine.
    ``only_raw`` leaves our side out. ``began`` is when the time of the plan's ``budget_s`` began.
    """

    def __init__(
        self,
        plan: PairPlan,
        sides: tuple[Side, Side],
        *,
        began: float,
        warm_up: Sequence[int] = (0, 1),
        only_raw: bool = False,
        tokens: Callable[[], Awaitable[Tokens]] = _no_tokens,
    ) -> None:
        self._plan = plan
        self._sides = sides
        self._began = began
        self._warm_up_sides = warm_up
        self._only_raw = only_raw
        self._tokens = tokens
        self._jobs = [*zip(sides[0].jobs, sides[1].jobs, strict=True)]
        self.levels = [Level(jobs, clients) for clients in plan.clients for jobs in self._jobs]
        self._problems: list[str] = []
        self._numbers = count()
        self._first_clients = min(_FIRST_CLIENTS, max(plan.clients))
        self._answer_s: dict[str, float] = {}

    async def run(
        self, progress: Callable[[str], None] = lambda _: None, on_row: Callable[[PairRow], None] = lambda _: None
    ) -> PairReport:
        """All rounds. ``on_row`` gets the row of a level after each of its pairs, of all its pairs so far.

        Raises:
            BenchFailed: one of the servers died.
        """
        for side in self._warm_up_sides:
            for jobs in self._jobs:
                progress(f"{jobs[side].label}: warming up")
                await self._warm_up(side, jobs[side])
        for n in range(self._plan.rounds):
            for place, level in enumerate(self.levels):
                progress(f"{level.label}, {level.clients} clients, pair {n + 1} of {self._plan.rounds}")
                if await self._measure_pair(level, first=(n + place) % 2):
                    on_row(level.row)
        found = [
            problem
            for level in self.levels
            for problem in distinct_problems(level.outcomes, malformed_too=self._plan.malformed_too)
        ]
        rows = tuple(level.row for level in self.levels if level.pairs)
        return PairReport(rows=rows, problems=(*self._problems, *found))

    async def _warm_up(self, side: int, job: Job) -> None:
        """Answers that do not count: the engine compiles kernels and grammars at the first ones.

        The second half shows how long an answer takes among so many clients.
        """
        outcomes = list[RequestOutcome]()
        for _ in range(2):
            outcomes = await closed_loop(
                self._sides[side].server.target, job, self._first_clients, self._numbers, self._plan.timeout_s,
                is_ongoing=lambda outcomes: not outcomes,
            )  # fmt: skip
        self._answer_s[job.label] = statistics.median(one.ended - one.sent for one in outcomes)

    async def _measure_pair(self, level: Level, first: int) -> bool:
        """Whether there was time for one more pair, and answers in it. Side ``first`` is measured first."""
        began = perf_counter()
        expected_s = level.lasted_s or 2 * self._plan.seconds * (1 + _WARM_UP)
        if began + expected_s - self._began > self._plan.budget_s:
            return False
        sides = (1,) if self._only_raw else (first, 1 - first)
        figures = {side: await self._measure_side(level, side) for side in sides}
        level.lasted_s = perf_counter() - began
        if not (raw := figures[1]) or (not self._only_raw and not figures[0]):
            return False
        level.pairs.append((figures.get(0), raw))
        return True

    async def _measure_side(self, level: Level, side: int) -> SideFigures | None:
        server, job, seconds = self._sides[side].server, level.jobs[side], self._plan.seconds
        server.check_alive()
        # First requests are spread over about one answer's time at this level: over less, answers would arrive in waves.
        answer_s = self._answer_s[job.label] * max(1.0, level.clients / self._first_clients)
        spread_s = min(answer_s, seconds * _SPREAD)

        async def sample() -> tuple[ProcessUsage | None, Tokens]:
            return server.usage(), await self._tokens()

        window = await measure_window(
            server.target, job, level.clients, self._numbers, seconds=seconds, warm_up_s=max(seconds * _WARM_UP, spread_s),
            timeout_s=self._plan.timeout_s, sample=sample, spread_s=spread_s, check_every=self._plan.check_every,
        )  # fmt: skip
        level.outcomes += window.outcomes
        if not window.counted:
            self._problems.append(f"{job.label}: no answer in a window of {seconds:g} s with {level.clients} clients")
            return None
        return _side_figures(window, seconds)


def _side_figures(window: WindowResult[tuple[ProcessUsage | None, Tokens]], seconds: float) -> SideFigures:
    (usage, tokens), (usage_after, tokens_after) = window.before, window.after
    answers, latencies = len(window.counted), sorted((one.ended - one.sent) * 1000 for one in window.counted)
    cpu_s = usage_after.cpu_s - usage.cpu_s if usage and usage_after else None
    new_tokens = None if tokens is None or tokens_after is None else tokens_after - tokens
    return SideFigures(
        per_s=round(answers / seconds, 3),
        tokens_per_s=None if new_tokens is None else round(new_tokens / window.seconds, 1),
        p50_ms=round(quantile(latencies, 0.5), 2),
        p99_ms=round(quantile(latencies, 0.99), 2),
        cpu_ms=None if cpu_s is None else round(cpu_s / answers * 1000, 3),
    )


def pair_row(
    label: str,
    clients: int,
    pairs: Sequence[tuple[SideFigures | None, SideFigures]],
    outcomes: Sequence[RequestOutcome],
) -> PairRow:
    """The row of a level from its pairs (ours, raw), one or more, and all its outcomes."""
    both = [(ours, raw) for ours, raw in pairs if ours]
    ratios = [ours.per_s / raw.per_s for ours, raw in both]
    token_ratios = [
        ours.tokens_per_s / raw.tokens_per_s for ours, raw in both if ours.tokens_per_s is not None and raw.tokens_per_s
    ]
    return PairRow(
        label=label,
        clients=clients,
        pairs=len(pairs),
        ours=_median_figures([ours for ours, _ in both]) if both else None,
        raw=_median_figures([raw for _, raw in pairs]),
        ratio=round(statistics.median(ratios), 3) if both else None,
        spread=(round(min(ratios), 3), round(max(ratios), 3)) if both else None,
        token_ratio=round(statistics.median(token_ratios), 3) if token_ratios else None,
        overhead_ms=round(statistics.median(ours.p50_ms - raw.p50_ms for ours, raw in both), 2) if both else None,
        answers=len(outcomes),
        errors=sum(one.has_failed for one in outcomes),
        malformed=sum(one.malformed for one in outcomes),
    )


def _median_figures(sides: Sequence[SideFigures]) -> SideFigures:
    def median(values: Iterable[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return statistics.median(known) if known else None

    return SideFigures(
        per_s=statistics.median(one.per_s for one in sides),
        tokens_per_s=median(one.tokens_per_s for one in sides),
        p50_ms=statistics.median(one.p50_ms for one in sides),
        p99_ms=statistics.median(one.p99_ms for one in sides),
        cpu_ms=median(one.cpu_ms for one in sides),
    )
