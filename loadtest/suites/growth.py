"""``vqc-bench growth``: what a request costs when ten times as much is stored, queued or in flight, on the scripted engine.

Cost is the processor time of API, Redis and worker together, so it may be measured on a machine that does other things too.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from time import perf_counter

from loadtest.errors import BenchFailed
from loadtest.http.connection import Pool, Reply
from loadtest.load.payloads import Supply, supply_of
from loadtest.load.reading import Job, Reading, refused
from loadtest.load.scenario import CaptionLoad, Photos, StageBLoad
from loadtest.load.sender import closed_loop
from loadtest.load.service_jobs import StageBJob, job_of
from loadtest.load.workers import problems
from loadtest.targets.service import Served, our_service

_AT_ONCE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class GrowthRow:
    """Milliseconds of processor time per request where little is there and where much is; ``growth`` is their ratio."""

    what: str
    little: int
    much: int
    little_cpu_ms: float
    much_cpu_ms: float
    growth: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A ticket's POST alone: its verdict is not waited for."""

    job: StageBJob

    @property
    def label(self) -> str:
        """See ``Job``, as for what follows."""
        return "submit"

    def request(self, n: int) -> bytes:
        """The ticket."""
        return self.job.request(n)

    def follow(self, reply: Reply) -> bytes | None:
        """Nothing."""
        return None

    def read(self, replies: Sequence[Reply]) -> Reading:
        """Accepted."""
        return Reading(problem=None if replies[0].status == 202 else refused(replies[0]))


async def measure(
    size: int, times: int, seconds: float, run: str, starting: Callable[[str], None] = lambda _: None
) -> list[GrowthRow]:
    """A row for clients, stored tickets and queued tickets: ``size`` of them, and ``times`` as many.

    Raises:
        BenchFailed: the service does not start, or any request fails.
    """
    supply = supply_of(Photos(width=256, height=192, drawn=12), run)
    return [
        await _clients(times, seconds, supply, starting),
        await _tickets("tickets stored", size, times, supply, starting, queued=False),
        await _tickets("tickets queued", size, times, supply, starting, queued=True),
    ]


async def _clients(times: int, seconds: float, supply: Supply, starting: Callable[[str], None]) -> GrowthRow:
    async with our_service({}, tickets=False) as server:
        job = job_of(CaptionLoad(), server.target, supply)
        numbers = count()
        await _held(server, job, _AT_ONCE, 1.0, numbers)
        costs = []
        for clients in (_AT_ONCE, _AT_ONCE * times):
            starting(f"{clients} clients")
            costs.append(await _held(server, job, clients, seconds, numbers))
    return _row("clients", _AT_ONCE, _AT_ONCE * times, *costs)


async def _held(server: Served, job: Job, clients: int, seconds: float, numbers: count[int]) -> float:
    before = _cpu_s(server)
    until = perf_counter() + seconds
    outcomes = await closed_loop(
        server.target, job, clients, lambda: next(numbers), lambda _: perf_counter() < until, timeout_s=60.0
    )
    if found := problems(outcomes, malformed_too=True):
        raise BenchFailed(found[0])
    return (_cpu_s(server) - before) / len(outcomes) * 1000


async def _tickets(
    what: str, size: int, times: int, supply: Supply, starting: Callable[[str], None], *, queued: bool
) -> GrowthRow:
    """The cost of tickets number ``size`` to 2 ``size``, and of as many after ``times`` · ``size``."""
    load = StageBLoad(photos=2, lines="given")
    async with _desk(queued) as server:
        ticket = StageBJob(load=load, target=server.target, supply=supply)
        job: Job = Submission(job=ticket) if queued else ticket
        costs = {}
        for block in range(times + 1):
            starting(f"{what}: {block * size} of {times * size}")
            costs[block] = await _block(server, job, range(block * size, (block + 1) * size))
    return _row(what, size, times * size, costs[1], costs[times])


@asynccontextmanager
async def _desk(queued: bool) -> AsyncGenerator[Served, None]:
    """The service with a worker; without one where tickets shall stay queued."""
    settings = {"VQC_STAGE_B": "on", "VQC_STAGE_B_MAX_QUEUED": "1000000"}
    async with our_service(settings, tickets=not queued) as server:
        yield server


async def _block(server: Served, job: Job, numbers: range) -> float:
    pool, left = Pool(server.target), iter(numbers)

    async def client() -> None:
        for n in left:
            replies, following = list[Reply](), job.request(n)
            while following is not None:
                replies.append(await pool.exchange(following))
                following = job.follow(replies[-1])
            if problem := job.read(replies).problem:
                raise BenchFailed(problem)

    before = _cpu_s(server)
    async with asyncio.TaskGroup() as group:
        for _ in range(_AT_ONCE):
            group.create_task(client())
    pool.close()
    return (_cpu_s(server) - before) / len(numbers) * 1000


def _cpu_s(server: Served) -> float:
    server.check_alive()
    usage = server.usage()
    assert usage is not None  # it is ours
    return usage.cpu_s


def _row(what: str, little: int, much: int, little_ms: float, much_ms: float) -> GrowthRow:
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
