"""Sends requests when they are due and reads what comes back. One process's part; ``crew`` runs several."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter

from loadtest.http.connection import ConnectionLost, Pool, Reply
from loadtest.http.requests import Target
from loadtest.load.outcome import Outcome
from loadtest.load.reading import Job, Reading


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """Exchange ``n`` of job number ``job`` at ``at`` seconds after the start."""

    at: float
    job: int
    n: int


async def open_loop(
    target: Target, jobs: Sequence[Job], due: Sequence[Due], start: float, timeout_s: float
) -> list[Outcome]:
    """Every outcome; ``start`` is a moment (``perf_counter``). A request never waits for another one's answer."""
    pool, tasks = Pool(target), []
    for one in due:
        job = jobs[one.job]
        request = job.request(one.n)  # made before it is due, so that making it is no part of the latency
        await asyncio.sleep(max(start + one.at - perf_counter(), 0))
        tasks.append(asyncio.create_task(_exchange(pool, job, request, start + one.at, timeout_s)))
    outcomes = await asyncio.gather(*tasks)
    pool.close()
    return outcomes


async def closed_loop(
    target: Target,
    job: Job,
    clients: int,
    numbers: Callable[[], int],
    ongoing: Callable[[Sequence[Outcome]], bool],
    timeout_s: float,
    spread_s: float = 0.0,
) -> list[Outcome]:
    """Each of ``clients`` asks again as soon as it is answered while ``ongoing`` of the answers so far; the last ones are
    waited for. Their first requests are spread evenly over ``spread_s``, so that answers of one length come in no waves.
    """
    pool, outcomes = Pool(target), list[Outcome]()

    async def client(n: int) -> None:
        await asyncio.sleep(spread_s * n / clients)
        while ongoing(outcomes):
            request = job.request(numbers())
            outcomes.append(await _exchange(pool, job, request, perf_counter(), timeout_s))

    await asyncio.gather(*(client(n) for n in range(clients)))
    pool.close()
    return outcomes


async def _exchange(pool: Pool, job: Job, request: bytes, due: float, timeout_s: float) -> Outcome:
    sent, replies = perf_counter(), list[Reply]()
    try:
        async with asyncio.timeout(timeout_s):
            following: bytes | None = request
            while following is not None:
                replies.append(await pool.exchange(following))
                following = job.follow(replies[-1])
        ended = perf_counter()
        reading = _read(job, replies)
    except TimeoutError:
        ended, reading = perf_counter(), Reading(problem=f"no answer within {timeout_s:g} s")
    except (ConnectionLost, OSError) as error:
        ended, reading = perf_counter(), Reading(problem=str(error) or type(error).__name__)
    return Outcome(
        label=job.label,
        due=due,
        sent=sent,
        ended=ended,
        first_object=reading.first_object_at,
        problem=reading.problem,
        malformed=reading.malformed,
        completion_tokens=reading.completion_tokens,
    )


def _read(job: Job, replies: Sequence[Reply]) -> Reading:
    try:
        return job.read(replies)
    except (ValueError, KeyError, TypeError) as error:
        return Reading(problem=f"an answer of another form ({error!r}): {bytes(replies[-1].body[:300])!r}")
