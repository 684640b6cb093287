"""Several generator processes that share one schedule, so that one Python process does not limit the load."""

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
from loadtest.load.job import Job
from loadtest.load.outcome import RequestOutcome
from loadtest.load.payloads import Payloads
from loadtest.load.scenario import Load, Scenario
from loadtest.load.sender import ScheduledRequest, open_loop
from loadtest.load.service_jobs import job_of
from loadtest.load.vllm_jobs import VllmJob

_HEAD_START_S = 0.3
"""Time between sending a step to the processes and its first request, so that every process is ready."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """The server under load: our API or, with ``model`` (its served name), a vLLM."""

    target: Target
    model: str | None = None
    constrained: bool = True

    def jobs(self, loads: Sequence[Load], payloads: Payloads) -> list[Job]:
        """A job per kind of request."""
        if self.model is None:
            return [job_of(load, self.target, payloads) for load in loads]
        return [
            VllmJob(load=load, target=self.target, payloads=payloads, model=self.model, constrained=self.constrained)
            for load in loads
        ]


def schedule(scenario: Scenario, rate_per_s: float, seconds: float, step: int, first: int) -> list[ScheduledRequest]:
    """The requests of one step, numbered from ``first``; their kinds are drawn by the shares of the mix."""
    seed = scenario.seed * 1009 + step
    moments = poisson(rate_per_s, seconds, seed) if scenario.arrivals == "poisson" else even(rate_per_s, seconds)
    shares = [load.share for load in scenario.mix]
    kinds = random.Random(seed).choices(range(len(shares)), shares, k=len(moments))
    return [
        ScheduledRequest(at=at, job=kind, n=first + n) for n, (at, kind) in enumerate(zip(moments, kinds, strict=True))
    ]


class WorkerPool:
    """``processes`` generators, running inside the ``with`` block."""

    def __init__(self, scenario: Scenario, payloads: Payloads, backend: Backend, processes: int) -> None:
        self._scenario = scenario
        self._payloads = payloads
        self._backend = backend
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
                target=_generate, args=(theirs, self._scenario, self._payloads, self._backend), daemon=True
            )
            process.start()
            theirs.close()
            self._pipes.append(ours)
            self._processes.append(process)
        for pipe in self._pipes:
            _receive(pipe)  # the process is ready
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
        """The process ids of the generators."""
        return [process.pid for process in self._processes if process.pid is not None]

    async def run_step(
        self, rate_per_s: float, seconds: float, check_alive: Callable[[], object]
    ) -> tuple[float, list[RequestOutcome]]:
        """The start of the step (``perf_counter``) and all its outcomes; ``check_alive`` is called while waiting for them.

        Raises:
            BenchFailed: a generator died.
        """
        due = schedule(self._scenario, rate_per_s, seconds, self._steps, self._sent)
        self._steps, self._sent = self._steps + 1, self._sent + len(due)
        start = perf_counter() + _HEAD_START_S
        for part, pipe in enumerate(self._pipes):
            pipe.send((start, due[part :: self._count]))
        outcomes: list[RequestOutcome] = []
        for pipe in self._pipes:
            while not pipe.poll():
                check_alive()
                await asyncio.sleep(0.1)
            outcomes += _receive(pipe) or []
        return start, outcomes


def _receive(pipe: Connection) -> list[RequestOutcome] | None:
    try:
        return pipe.recv()
    except EOFError as error:
        raise BenchFailed("a load generator died") from error


def _generate(pipe: Connection, scenario: Scenario, payloads: Payloads, backend: Backend) -> None:
    """A generator process: sends its part of each step until the pipe closes."""
    jobs = backend.jobs(scenario.mix, payloads)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        pipe.send(None)
        while True:
            try:
                start, due = pipe.recv()
            except (EOFError, KeyboardInterrupt):
                return
            pipe.send(runner.run(open_loop(backend.target, jobs, due, start, scenario.timeout_s)))
