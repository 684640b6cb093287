"""Performs a scenario step by step, and finds the highest rate that meets its SLOs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from time import perf_counter

from loadtest.load.outcome import Figures, RequestOutcome, distinct_problems, figures, meets_slo
from loadtest.load.scenario import Scenario
from loadtest.load.workers import WorkerPool
from loadtest.process_usage import ProcessUsage

PRECISION = 1.15
"""The search ends when the lowest failing rate is at most so many times the highest passing one."""

LARGEST_STEPS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadStep:
    """One rate for ``seconds``. ``cores``, ``cpu_ms`` (per answer) and ``rss_mb`` (at the end) are of the server's processes.

    They are None if its process is not known; ``met`` is None without an SLO.
    """

    rate_per_s: float
    seconds: float
    met: bool | None
    cores: float | None
    cpu_ms: float | None
    rss_mb: float | None
    kinds: tuple[Figures, ...]

    def document(self) -> dict[str, object]:
        """As JSON values."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadReport:
    """The steps in their order. ``highest_met_per_s`` is None without a search, or if no rate met the SLOs."""

    scenario: Scenario
    steps: tuple[LoadStep, ...]
    problems: tuple[str, ...]
    highest_met_per_s: float | None = None

    def document(self) -> dict[str, object]:
        """As JSON values."""
        return {
            "scenario": self.scenario.model_dump(mode="json"),
            "highest_met_per_s": self.highest_met_per_s,
            "problems": list(self.problems),
            "steps": [step.document() for step in self.steps],
        }


async def perform(
    scenario: Scenario,
    workers: WorkerPool,
    *,
    usage: Callable[[], ProcessUsage | None] = lambda: None,
    check_alive: Callable[[], object] = lambda: None,
    malformed_too: bool = True,
    progress: Callable[[str], None] = lambda _: None,
) -> LoadReport:
    """Runs the steps or the search. ``malformed_too`` counts texts that do not parse as problems.

    Raises:
        BenchFailed: a generator or the server died.
    """
    steps, problems = list[LoadStep](), list[str]()

    async def run_step(rate: float) -> LoadStep:
        progress(f"{rate:g} a second for {scenario.seconds:g} s")
        before, began = usage(), perf_counter()
        start, outcomes = await workers.run_step(rate, scenario.seconds, check_alive)
        step = _step(scenario, rate, start, outcomes, before, usage(), perf_counter() - began)
        problems.extend(distinct_problems(outcomes, malformed_too=malformed_too))
        steps.append(step)
        return step

    highest = None
    if scenario.find:
        highest = await highest_met(scenario.rates_per_s[0], lambda rate: _meets(run_step, rate))
    else:
        for rate in scenario.rates_per_s:
            await run_step(rate)
    return LoadReport(
        scenario=scenario, steps=tuple(steps), problems=tuple(dict.fromkeys(problems)), highest_met_per_s=highest
    )


async def highest_met(first: float, meets: Callable[[float], Awaitable[bool]]) -> float | None:
    """The highest rate found that ``meets``: doubled (or halved) from ``first`` until the result changes, then bisected to
    ``PRECISION``. None if even a 64th of ``first`` does not.
    """
    rate, low, high = first, None, None
    for _ in range(LARGEST_STEPS):
        if await meets(rate):
            low = rate
        else:
            high = rate
        if low is not None and high is not None:
            if high <= low * PRECISION:
                break
            rate = (low * high) ** 0.5
        elif low is not None:
            rate = low * 2
        elif high is not None:
            rate = high / 2
            if rate < first / 64:
                break
    return None if low is None else round(low, 3)


async def _meets(run_step: Callable[[float], Awaitable[LoadStep]], rate: float) -> bool:
    return bool((await run_step(rate)).met)


def _step(
    scenario: Scenario,
    rate: float,
    start: float,
    outcomes: list[RequestOutcome],
    before: ProcessUsage | None,
    after: ProcessUsage | None,
    seconds: float,
) -> LoadStep:
    by_label = {load.label: [one for one in outcomes if one.label == load.label] for load in scenario.mix}
    verdicts = [meets_slo(load.slo, by_label[load.label]) for load in scenario.mix if load.slo]
    answered = sum(not one.has_failed for one in outcomes)
    cpu_s = after.cpu_s - before.cpu_s if before and after else None
    return LoadStep(
        rate_per_s=round(rate, 3),
        seconds=scenario.seconds,
        met=all(verdicts) if verdicts else None,
        cores=round(cpu_s / seconds, 2) if cpu_s is not None else None,
        cpu_ms=round(cpu_s / answered * 1000, 2) if cpu_s is not None and answered else None,
        rss_mb=after.rss_mb if after else None,
        kinds=tuple(figures(label, some, start) for label, some in by_label.items() if some),
    )
