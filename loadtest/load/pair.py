"""``vqc-bench pair``: our service and the vLLM behind it, asked the same in turns, so that the difference is what we add.

One engine serves both doors. At each number of clients a window of ours and a window of raw vLLM follow each other, in
alternating order; every photo is new to the engine.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from time import perf_counter

from engine.client import VllmClient
from engine.profile import EngineSettings
from loadtest.load.crew import Door, problems
from loadtest.load.outcome import Outcome
from loadtest.load.reading import Job
from loadtest.load.scenario import Load, Photos, Scenario
from loadtest.load.sender import closed_loop
from loadtest.load.serving import Served, our_service, raw_engine
from loadtest.load.supply import supply_of
from loadtest.quantiles import quantile

_WARM_UP = 0.25
"""Share of a window, before it, in which answers do not count yet."""

_TOKENS = re.compile(r"^vllm:generation_tokens_total\{[^}]*\} (\S+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class PairPlan:
    """What is asked, by how many clients, in windows of ``seconds``, ``rounds`` pairs each.

    ``free`` compares raw vLLM under our grammar with raw vLLM without one, instead of us with it. ``budget_s`` is the most time
    that all of it may take: pairs that would not fit any more are left out.
    """

    loads: tuple[Load, ...]
    clients: tuple[int, ...]
    seconds: float
    rounds: int
    photos: Photos
    timeout_s: float
    malformed_too: bool
    free: bool = False
    budget_s: float = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Answers and engine tokens a second, and milliseconds."""

    per_s: float
    tokens_per_s: float | None
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PairRow:
    """One level. Sides are the medians over the pairs; ``ratio`` and ``token_ratio`` the median of ours ÷ raw within each.

    ``overhead_ms`` is the median of the differences of p50. ``spread`` is the lowest and highest ratio of a pair.
    """

    label: str
    clients: int
    pairs: int
    ours: Window
    raw: Window
    ratio: float
    spread: tuple[float, float]
    token_ratio: float | None
    overhead_ms: float
    answers: int
    errors: int
    malformed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PairReport:
    """The rows that fitted into the time, and the problems."""

    rows: tuple[PairRow, ...]
    problems: tuple[str, ...]


async def compare(
    settings: EngineSettings, plan: PairPlan, run: str, starting: Callable[[str], None] = lambda _: None
) -> PairReport:
    """The report.

    Raises:
        BenchFailed: engine or service do not start or go away.
    """
    began = perf_counter()
    supply = supply_of(plan.photos, run)
    scenario = Scenario(mix=plan.loads, photos=plan.photos, timeout_s=plan.timeout_s)
    async with AsyncExitStack() as stack:
        starting("starting vLLM")
        engine = await stack.enter_async_context(raw_engine(settings))
        raw = Door(target=engine.target, model=settings.served_name)
        if plan.free:
            first = raw.jobs(scenario, supply)
            second = Door(target=engine.target, model=settings.served_name, constrained=False).jobs(scenario, supply)
            server = engine
        else:
            starting("starting the service")
            ours = {
                "VQC_ENGINE": "external",
                "VQC_ENGINE_URL": f"unix://{engine.target.uds}",
                "VQC_MODEL_ALIAS": settings.served_name,
                "VQC_WORKER_CONCURRENCY": str(max(plan.clients)),  # as many tickets at once as raw vLLM gets requests
            }
            tickets = any(load.task == "stage-b" for load in plan.loads)
            server = await stack.enter_async_context(our_service(ours, tickets=tickets))
            first, second = Door(target=server.target).jobs(scenario, supply), raw.jobs(scenario, supply)
        metrics = VllmClient(Path(str(engine.target.uds)), settings.served_name)
        stack.push_async_callback(metrics.aclose)
        measuring = _Measuring(plan, (server, engine), metrics, began, starting)
        rows = [
            row
            for ours_job, raw_job in zip(first, second, strict=True)
            for clients in plan.clients
            if (row := await measuring.level(ours_job, raw_job, clients))
        ]
        return PairReport(rows=tuple(rows), problems=tuple(measuring.problems))


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

    async def level(self, ours: Job, raw: Job, clients: int) -> PairRow | None:
        """The row; None when there was no time for a pair."""
        pairs: list[tuple[Window, Window]] = []
        outcomes: list[Outcome] = []
        lasted = 2 * self._plan.seconds * (1 + _WARM_UP)
        for n in range(self._plan.rounds):
            began = perf_counter()
            if began + lasted - self._began > self._plan.budget_s:
                break
            self._starting(f"{ours.label}, {clients} clients, pair {n + 1} of {self._plan.rounds}")
            sides = ((0, ours), (1, raw)) if n % 2 == 0 else ((1, raw), (0, ours))
            found = {side: await self._window(side, job, clients, outcomes) for side, job in sides}
            lasted = perf_counter() - began
            if (one := found[0]) and (other := found[1]):
                pairs.append((one, other))
        self.problems += problems(outcomes, malformed_too=self._plan.malformed_too)
        return _row(ours.label, clients, pairs, outcomes) if pairs else None

    async def _window(self, side: int, job: Job, clients: int, outcomes: list[Outcome]) -> Window | None:
        self._servers[side].check_alive()
        numbers, target = self._numbers, self._servers[side].target
        tokens, began = await self._tokens(), perf_counter()
        counted_from = began + self._plan.seconds * _WARM_UP
        until = counted_from + self._plan.seconds
        new = await closed_loop(target, job, clients, lambda: next(numbers), until, self._plan.timeout_s)
        outcomes += new
        took = perf_counter() - began
        generated = None if tokens is None else (await self._tokens() or 0.0) - tokens
        counted = [one for one in new if not one.failed and counted_from <= one.ended <= until]
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

    async def _tokens(self) -> float | None:
        """Tokens that the engine has written since its start."""
        found = _TOKENS.findall(await self._metrics.metrics())
        return sum(map(float, found)) if found else None


def _row(label: str, clients: int, pairs: Sequence[tuple[Window, Window]], outcomes: Sequence[Outcome]) -> PairRow:
    ratios = [ours.per_s / raw.per_s for ours, raw in pairs]
    tokens = [
        ours.tokens_per_s / raw.tokens_per_s
        for ours, raw in pairs
        if ours.tokens_per_s is not None and raw.tokens_per_s
    ]
    return PairRow(
        label=label,
        clients=clients,
        pairs=len(pairs),
        ours=_median([ours for ours, _ in pairs]),
        raw=_median([raw for _, raw in pairs]),
        ratio=round(statistics.median(ratios), 3),
        spread=(round(min(ratios), 3), round(max(ratios), 3)),
        token_ratio=round(statistics.median(tokens), 3) if tokens else None,
        overhead_ms=round(statistics.median(ours.p50_ms - raw.p50_ms for ours, raw in pairs), 2),
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
