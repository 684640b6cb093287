"""``vqc-bench growth``: the cost of a request with ten times as much stored, queued or in flight, on the scripted engine.

The cost is the CPU time of API, Redis and worker together, so other work on the machine does not distort it.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from time import perf_counter

import click
from typing_extensions import override

from loadtest.errors import BenchFailed
from loadtest.http.connection import Reply
from loadtest.load.job import Job, Reading, describe_rejection
from loadtest.load.outcome import RequestOutcome, distinct_problems
from loadtest.load.payloads import Payloads, draw_payloads
from loadtest.load.scenario import CaptionLoad, Photos, StageBLoad
from loadtest.load.sender import closed_loop
from loadtest.load.service_jobs import StageBJob, job_of
from loadtest.loop import run
from loadtest.report import as_json
from loadtest.targets.server import RunningServer
from loadtest.targets.service import our_service

_CONCURRENCY = 8
_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class GrowthRow:
    """CPU milliseconds per request with ``little`` and with ``much`` present; ``growth`` is their ratio."""

    what: str
    little: int
    much: int
    little_cpu_ms: float
    much_cpu_ms: float
    growth: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitJob(Job):
    """The POST of a ticket, without waiting for its verdict."""

    job: StageBJob

    @property
    @override
    def label(self) -> str:
        return "submit"

    @override
    def request(self, n: int) -> bytes:
        return self.job.request(n)

    @override
    def follow(self, reply: Reply) -> bytes | None:
        return None

    @override
    def read(self, replies: Sequence[Reply]) -> Reading:
        (reply,) = replies
        return Reading(problem=None if reply.status == 202 else describe_rejection(reply))


@click.command()
@click.option(
    "--size", type=click.IntRange(10, 100_000), default=300, show_default=True, help="The small number of tickets."
)
@click.option(
    "--times", type=click.IntRange(2, 100), default=10, show_default=True, help="The large number, as a multiple of it."
)
@click.option(
    "--seconds", type=click.FloatRange(0.2, 600), default=8.0, show_default=True, help="Time per number of clients."
)
@click.option("--json", "as_document", is_flag=True, help="Print one JSON document: a list of rows.")
def growth(size: int, times: int, seconds: float, as_document: bool) -> None:
    """The CPU time of a request with ten times the clients, stored tickets and queued tickets."""
    from rich.console import Console

    with Console(stderr=True).status("drawing photos") as status:
        rows = run(measure(size, times, seconds, os.urandom(4).hex(), status.update))
    if as_document:
        click.echo(as_json(rows))
        return
    for row in rows:
        click.echo(
            f"{row.what}: {row.little_cpu_ms} ms a request with {row.little}, {row.much_cpu_ms} with {row.much}: "
            f"{row.growth} times"
        )


async def measure(
    size: int, times: int, seconds: float, run_id: str, progress: Callable[[str], None] = lambda _: None
) -> list[GrowthRow]:
    """A row for clients, stored tickets and queued tickets: ``size`` of them, and ``times`` as many.

    Raises:
        BenchFailed: the service does not start, or a request fails.
    """
    payloads = draw_payloads(Photos(width=256, height=192, drawn=12), run_id)
    return [
        await _measure_clients(times, seconds, payloads, progress),
        await _measure_tickets("tickets stored", size, times, payloads, progress, queued=False),
        await _measure_tickets("tickets queued", size, times, payloads, progress, queued=True),
    ]


async def _measure_clients(
    times: int, seconds: float, payloads: Payloads, progress: Callable[[str], None]
) -> GrowthRow:
    async with our_service({}, tickets=False) as server:
        job = job_of(CaptionLoad(), server.target, payloads)
        numbers = count()
        await _cost_ms(server, job, _CONCURRENCY, numbers, 1.0)
        costs_ms = []
        for clients in (_CONCURRENCY, _CONCURRENCY * times):
            progress(f"{clients} clients")
            costs_ms.append(await _cost_ms(server, job, clients, numbers, seconds))
    return _growth_row("clients", _CONCURRENCY, _CONCURRENCY * times, *costs_ms)


async def _measure_tickets(
    what: str, size: int, times: int, payloads: Payloads, progress: Callable[[str], None], *, queued: bool
) -> GrowthRow:
    """The cost of tickets number ``size`` to 2 × ``size``, and of as many after ``times`` × ``size``."""
    load = StageBLoad(photos=2, lines="given")
    async with _ticket_service(queued) as server:
        ticket = StageBJob(load=load, target=server.target, payloads=payloads)
        job: Job = SubmitJob(job=ticket) if queued else ticket
        costs_ms = []
        for block in range(times + 1):
            progress(f"{what}: {block * size} of {times * size}")
            numbers = iter(range(block * size, (block + 1) * size))
            costs_ms.append(await _cost_ms(server, job, _CONCURRENCY, numbers))
    return _growth_row(what, size, times * size, costs_ms[1], costs_ms[times])


@asynccontextmanager
async def _ticket_service(queued: bool) -> AsyncGenerator[RunningServer, None]:
    """The service with a worker; without one if tickets must stay ``queued``."""
    settings = {"VQC_STAGE_B": "on", "VQC_STAGE_B_MAX_QUEUED": "1000000"}
    async with our_service(settings, tickets=not queued) as server:
        yield server


async def _cost_ms(
    server: RunningServer, job: Job, clients: int, numbers: Iterator[int], seconds: float | None = None
) -> float:
    """CPU milliseconds per request, of requests for ``seconds`` or until ``numbers`` is exhausted."""
    before, until = server.cpu_s(), None if seconds is None else perf_counter() + seconds

    def is_ongoing(_: Sequence[RequestOutcome]) -> bool:
        return until is None or perf_counter() < until

    outcomes = await closed_loop(server.target, job, clients, numbers, _TIMEOUT_S, is_ongoing=is_ongoing)
    if found := distinct_problems(outcomes, malformed_too=True):
        raise BenchFailed(found[0])
    return (server.cpu_s() - before) / len(outcomes) * 1000


def _growth_row(what: str, little: int, much: int, little_ms: float, much_ms: float) -> GrowthRow:
    if not little_ms:
        raise BenchFailed(f"{what}: {little} are too few to cost a measurable time")
    return GrowthRow(
        what=what,
        little=little,
        much=much,
        little_cpu_ms=round(little_ms, 3),
        much_cpu_ms=round(much_ms, 3),
        growth=round(much_ms / little_ms, 3),
    )
