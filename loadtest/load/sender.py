"""Sends requests and reads the responses: at due times (open loop), or each after the response before it (closed loop).

One process's part; ``workers`` runs several.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter

from loadtest.http.connection import ConnectionLost, Pool, Reply
from loadtest.http.requests import Target
from loadtest.load.job import Job, Reading, describe_rejection
from loadtest.load.outcome import RequestOutcome

_RETRY_S = 0.1
"""A client's pause after an incomplete response, so that a dead server does not turn the closed loop into a busy loop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduledRequest:
    """Exchange ``n`` of job number ``job``, due ``at`` seconds after the start."""

    at: float
    job: int
    n: int


async def open_loop(
    target: Target, jobs: Sequence[Job], due: Sequence[ScheduledRequest], start: float, timeout_s: float
) -> list[RequestOutcome]:
    """All outcomes; ``start`` is a moment (``perf_counter``). No request waits for the response to another."""
    pool, tasks = Pool(target), []
    for one in due:
        job = jobs[one.job]
        request = job.request(one.n)  # built before it is due: building it is not part of the latency
        await asyncio.sleep(max(start + one.at - perf_counter(), 0))
        tasks.append(asyncio.create_task(_exchange(pool, job, request, start + one.at, timeout_s)))
    outcomes = await asyncio.gather(*tasks)
    pool.close()
    return outcomes


async def closed_loop(
    target: Target,
    job: Job,
    clients: int,
    numbers: Iterator[int],
    timeout_s: float,
    *,
    is_ongoing: Callable[[Sequence[RequestOutcome]], bool] = lambda _: True,
    spread_s: float = 0.0,
    check_every: int = 1,
) -> list[RequestOutcome]:
    """Each of ``clients`` sends its next request when it has the response to the last one. Returns after the last response.

    It ends when ``numbers`` is exhausted or ``is_ongoing`` of the outcomes so far is false. First requests are spread evenly
    over ``spread_s``: else responses of one length arrive in waves. A client's first response and every ``check_every``-th
    after it are read whole; of the others only the status.
    """
    pool, outcomes = Pool(target), list[RequestOutcome]()

    async def client(place: int) -> None:
        await asyncio.sleep(spread_s * place / clients)
        sent = 0
        while is_ongoing(outcomes) and (n := next(numbers, None)) is not None:
            request, whole = job.request(n), sent % check_every == 0
            outcome = await _exchange(pool, job, request, perf_counter(), timeout_s, whole=whole)
            outcomes.append(outcome)
            sent += 1
            if not outcome.is_complete:
                await asyncio.sleep(_RETRY_S)

    await asyncio.gather(*(client(place) for place in range(clients)))
    pool.close()
    return outcomes


async def _exchange(
    pool: Pool, job: Job, request: bytes, due: float, timeout_s: float, *, whole: bool = True
) -> RequestOutcome:
    sent, replies, is_complete = perf_counter(), list[Reply](), False
    try:
        async with asyncio.timeout(timeout_s):
            following: bytes | None = request
            while following is not None:
                replies.append(await pool.exchange(following))
                following = job.follow(replies[-1])
        ended, is_complete = perf_counter(), True
        reading = _read(job, replies) if whole else _read_status(replies[-1])
    except TimeoutError:
        ended, reading = perf_counter(), Reading(problem=f"no answer within {timeout_s:g} s")
    except (ConnectionLost, OSError) as error:
        ended, reading = perf_counter(), Reading(problem=str(error) or type(error).__name__)
    return RequestOutcome(
        label=job.label,
        due=due,
        sent=sent,
        ended=ended,
        first_object=reading.first_object_at,
        problem=reading.problem,
        malformed=reading.malformed,
        completion_tokens=reading.completion_tokens,
        is_complete=is_complete,
    )


def _read(job: Job, replies: Sequence[Reply]) -> Reading:
    try:
        return job.read(replies)
    except (ValueError, KeyError, TypeError) as error:
        return Reading(problem=f"an unexpected response ({error!r}): {bytes(replies[-1].body[:300])!r}")


def _read_status(reply: Reply) -> Reading:
    return Reading(problem=None if reply.status == 200 else describe_rejection(reply))
