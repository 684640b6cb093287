"""Several generator processes that share one schedule, so that one Python's lock does not bound the load."""

from __future__ import annotations

import asyncio
import multiprocessing
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from time import perf_counter
from types import TracebackType
from typing import Self

import uvloop

from loadtest.errors import BenchFailed
from loadtest.http.requests import Target
from loadtest.load.arrivals import even, poisson
from loadtest.load.outcome import Outcome
from loadtest.load.payloads import Supply
from loadtest.load.reading import Job
from loadtest.load.scenario import Scenario
from loadtest.load.sender import Due, open_loop
from loadtest.load.service_jobs import job_of
from loadtest.load.vllm_jobs import RawJob

_HEAD_START_S = 0.3
"""Between the order and the first request, for every process to be ready."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """Where the load goes: our API, or with ``model`` (the name it serves) a vLLM."""

    target: Target
    model: str | None = None
    constrained: bool = True

    def jobs(self, scenario: Scenario, supply: Supply) -> list[Job]:
        """A job per entry of the mix."""
        if self.model is None:
            return [job_of(load, self.target, supply) for load in scenario.mix]
        return [
            RawJob(load=load, target=self.target, supply=supply, model=self.model, constrained=self.constrained)
            for load in scenario.mix
        ]


def schedule(scenario: Scenario, rate_per_s: float, seconds: float, step: int, first: int) -> list[Due]:
    """What is due in one step; exchanges are numbered from ``first``, their kinds drawn by the mix's shares."""
    seed = scenario.seed * 1009 + step
    moments = poisson(rate_per_s, seconds, seed) if scenario.arrivals == "poisson" else even(rate_per_s, seconds)
    shares = [load.share for load in scenario.mix]
    kinds = random.Random(seed).choices(range(len(shares)), shares, k=len(moments))
    return [Due(at=at, job=kind, n=first + n) for n, (at, kind) in enumerate(zip(moments, kinds, strict=True))]


class Crew:
    """``processes`` generators, up inside the block."""

    def __init__(self, scenario: Scenario, supply: Supply, door: Door, processes: int) -> None:
        self._scenario = scenario
        self._supply = supply
        self._door = door
        self._context = multiprocessing.get_context("spawn")
        self._count = processes
        self._sent = 0
        self._steps = 0
        self._pipes: list[Connection] = []
        self._processes: list[BaseProcess] = []

    def __enter__(self) -> Self:
        for _ in range(self._count):
            ours, theirs = self._context.Pipe()
            process = self._context.Process(
                target=_generate, args=(theirs, self._scenario, self._supply, self._door), daemon=True
            )
            process.start()
            theirs.close()
            self._pipes.append(ours)
            self._processes.append(process)
        for pipe in self._pipes:
            self._received(pipe)  # it is up
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.terminate()
            process.join()

    @property
    def pids(self) -> list[int]:
        """Of the generators."""
        return [process.pid for process in self._processes if process.pid is not None]

    async def step(
        self, rate_per_s: float, seconds: float, meanwhile: Callable[[], object]
    ) -> tuple[float, list[Outcome]]:
        """When a step began (``perf_counter``) and its outcomes, all of them; ``meanwhile`` is called now and then.

        Raises:
            BenchFailed: a generator died.
        """
        due = schedule(self._scenario, rate_per_s, seconds, self._steps, self._sent)
        self._steps, self._sent = self._steps + 1, self._sent + len(due)
        start = perf_counter() + _HEAD_START_S
        for part, pipe in enumerate(self._pipes):
            pipe.send((start, due[part :: self._count]))
        outcomes: list[Outcome] = []
        for pipe in self._pipes:
            while not pipe.poll():
                meanwhile()
                await asyncio.sleep(0.1)
            outcomes += self._received(pipe) or []
        return start, outcomes

    def _received(self, pipe: Connection) -> list[Outcome] | None:
        try:
            return pipe.recv()
        except EOFError as error:
            raise BenchFailed("a load generator died") from error


def _generate(pipe: Connection, scenario: Scenario, supply: Supply, door: Door) -> None:
    """A generator process: performs its part of each step until the pipe closes."""
    jobs = door.jobs(scenario, supply)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        pipe.send(None)
        while True:
            try:
                start, due = pipe.recv()
            except (EOFError, KeyboardInterrupt):
                return
            pipe.send(runner.run(open_loop(door.target, jobs, due, start, scenario.timeout_s)))


def problems(outcomes: Sequence[Outcome], *, malformed_too: bool) -> list[str]:
    """What went wrong, in words, once each."""
    found = [one.problem for one in outcomes if one.problem and (malformed_too or not one.malformed)]
    return [*dict.fromkeys(found)]
