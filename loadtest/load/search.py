"""Performs a scenario step by step, and finds the highest rate that meets its SLOs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from time import perf_counter

from loadtest.load.outcome import Figures, Outcome, figures, met
from loadtest.load.scenario import Scenario
from loadtest.load.workers import Crew, problems
from loadtest.process_usage import Usage

PRECISION = 1.15
"""The search ends when the lowest rate that failed is at most so many times the highest that was met."""

LARGEST_STEPS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One rate held for a while. ``cores`` and ``cpu_ms`` (per answer) are the server's, with all its processes;
    ``rss_mb`` its memory at the end; None where its process is not known. ``met`` is None without an SLO.
    """

    rate_per_s: float
    seconds: float
    met: bool | None
    cores: float | None
    cpu_ms: float | None
    rss_mb: float | None
    kinds: tuple[Figures, ...]

    def document(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadReport:
    """The steps in the order performed. ``highest_met_per_s`` is None when nothing was searched, or nothing met."""

    scenario: Scenario
    steps: tuple[Step, ...]
    problems: tuple[str, ...]
    highest_met_per_s: float | None = None

    def document(self) -> dict[str, object]:
        """For JSON."""
        return {
            "scenario": self.scenario.model_dump(mode="json"),
            "highest_met_per_s": self.highest_met_per_s,
            "problems": list(self.problems),
            "steps": [step.document() for step in self.steps],
        }


async def perform(
    scenario: Scenario,
    crew: Crew,
    *,
    usage: Callable[[], Usage | None] = lambda: None,
    check_alive: Callable[[], object] = lambda: None,
    malformed_too: bool = True,
    starting: Callable[[str], None] = lambda _: None,
) -> LoadReport:
    """The report. ``malformed_too`` counts unreadable texts of the model as problems.

    Raises:
        BenchFailed: a generator died, or whatever ``usage`` and ``check_alive`` raise.
    """
    steps, found = list[Step](), list[str]()

    async def hold(rate: float) -> Step:
        starting(f"{rate:g} a second for {scenario.seconds:g} s")
        before, began = usage(), perf_counter()
        start, outcomes = await crew.step(rate, scenario.seconds, check_alive)
        step = _step(scenario, rate, start, outcomes, before, usage(), perf_counter() - began)
        found.extend(problems(outcomes, malformed_too=malformed_too))
        steps.append(step)
        return step

    highest = None
    if scenario.find:
        highest = await highest_met(scenario.rates_per_s[0], lambda rate: _holds(hold, rate))
    else:
        for rate in scenario.rates_per_s:
            await hold(rate)
    return LoadReport(
        scenario=scenario, steps=tuple(steps), problems=tuple(dict.fromkeys(found)), highest_met_per_s=highest
    )


async def highest_met(first: float, meets: Callable[[float], Awaitable[bool]]) -> float | None:
    """The highest rate found that ``meets``: doubled (or halved) from ``first`` until the answer turns, then bisected
    to ``PRECISION``. None when even a 64th of ``first`` does not.
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


async def _holds(hold: Callable[[float], Awaitable[Step]], rate: float) -> bool:
    return bool((await hold(rate)).met)


def _step(
    scenario: Scenario,
    rate: float,
    start: float,
    outcomes: list[Outcome],
    before: Usage | None,
    after: Usage | None,
    seconds: float,
) -> Step:
    by_label = {load.label: [one for one in outcomes if one.label == load.label] for load in scenario.mix}
    verdicts = [met(load.slo, by_label[load.label]) for load in scenario.mix if load.slo]
    answered = sum(not one.failed for one in outcomes)
    cpu_s = after.cpu_s - before.cpu_s if before and after else None
    return Step(
        rate_per_s=round(rate, 3),
        seconds=scenario.seconds,
        met=all(verdicts) if verdicts else None,
        cores=round(cpu_s / seconds, 2) if cpu_s is not None else None,
        cpu_ms=round(cpu_s / answered * 1000, 2) if cpu_s is not None and answered else None,
        rss_mb=after.rss_mb if after else None,
        kinds=tuple(figures(label, found, start) for label, found in by_label.items() if found),
    )
