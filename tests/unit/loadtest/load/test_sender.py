"""The open and the closed loop against small servers of this process."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import count
from time import perf_counter

from loadtest.http.connection import Reply
from loadtest.load.job import Reading
from loadtest.load.sender import ScheduledRequest, closed_loop, open_loop
from tests.support.http_server import OK, PlainJob, say, serving


async def test_requests_leave_when_due_whether_or_not_earlier_ones_were_answered() -> None:
    """The server answers only after all requests have arrived: a closed loop would wait for ever."""
    all_sent = asyncio.Event()

    async def respond(n: int, writer: asyncio.StreamWriter) -> None:
        if n == 7:
            all_sent.set()
        await all_sent.wait()
        writer.write(OK)

    async with serving(respond) as (server, target):
        due = [ScheduledRequest(at=0.001 * n, job=0, n=n) for n in range(8)]
        outcomes = await open_loop(target, [PlainJob()], due, perf_counter(), timeout_s=20)
    assert [one.problem for one in outcomes] == [None] * 8
    assert server.connections == 8


async def test_latency_counts_from_when_a_request_was_due_not_from_when_it_was_sent() -> None:
    async with serving(say(OK)) as (_, target):
        due = [ScheduledRequest(at=0.0, job=0, n=0)]
        (late,) = await open_loop(target, [PlainJob()], due, perf_counter() - 5, timeout_s=20)
    assert late.sent - late.due >= 5
    assert late.ended - late.due >= 5


async def test_failures_are_outcomes() -> None:
    over = asyncio.Event()

    async def respond(n: int, writer: asyncio.StreamWriter) -> None:
        if n == 0:
            writer.write(b"HTTP/1.1 500 X\r\ncontent-length: 0\r\n\r\n")
        elif n == 1:
            writer.write(OK[:-1])
            await writer.drain()
            writer.close()
        else:
            await over.wait()

    async with serving(respond) as (_, target):
        due = [ScheduledRequest(at=0.05 * n, job=0, n=n) for n in range(3)]
        outcomes = await open_loop(target, [PlainJob()], due, perf_counter(), timeout_s=0.5)
        over.set()
    problems = [one.problem or "" for one in outcomes]
    assert problems[0] == "status 500"
    assert "before the response was complete" in problems[1]
    assert problems[2] == "no answer within 0.5 s"
    assert all(one.has_failed for one in outcomes)


async def test_a_refused_connection_is_an_outcome_too() -> None:
    async with serving(say(OK)) as (_, target):
        pass
    (outcome,) = await open_loop(
        target, [PlainJob()], [ScheduledRequest(at=0, job=0, n=0)], perf_counter(), timeout_s=120
    )
    assert outcome.has_failed


async def test_a_closed_loop_keeps_so_many_in_flight_and_never_numbers_twice() -> None:
    numbers = iter(range(10_000))
    most = waiting = 0

    async def respond(n: int, writer: asyncio.StreamWriter) -> None:
        nonlocal most, waiting
        waiting += 1
        most = max(most, waiting)
        await asyncio.sleep(0.005)
        waiting -= 1
        writer.write(OK)

    async with serving(respond) as (server, target):
        until = perf_counter() + 0.1
        outcomes = await closed_loop(
            target, PlainJob(), 3, numbers, timeout_s=120, is_ongoing=lambda _: perf_counter() < until
        )
    assert most == 3
    assert len(outcomes) == server.requests == next(numbers)


async def test_a_closed_loop_spreads_the_first_requests_of_its_clients() -> None:
    """The server answers only after the last client's request, so the others' requests show the spread."""
    asked, all_sent = list[float](), asyncio.Event()

    async def respond(n: int, writer: asyncio.StreamWriter) -> None:
        asked.append(perf_counter())
        if n == 3:
            all_sent.set()
        await all_sent.wait()
        writer.write(OK)

    async with serving(respond) as (_, target):
        began = perf_counter()
        await closed_loop(
            target, PlainJob(), 4, count(), timeout_s=20, is_ongoing=lambda answered: not answered, spread_s=0.4
        )
    assert all(at - began >= 0.1 * n for n, at in enumerate(asked))


async def test_a_closed_loop_ends_when_its_numbers_do() -> None:
    async with serving(say(OK)) as (server, target):
        outcomes = await closed_loop(target, PlainJob(), 3, iter(range(7)), timeout_s=120)
    assert len(outcomes) == server.requests == 7


async def test_each_clients_first_and_every_so_many_answers_are_read_whole() -> None:
    read = list[int]()

    class CountedJob(PlainJob):
        def read(self, replies: Sequence[Reply]) -> Reading:
            read.append(len(replies))
            return Reading(problem="first" if len(read) == 1 else None)

    async with serving(say(OK)) as (_, target):
        outcomes = await closed_loop(target, CountedJob(), 1, iter(range(7)), timeout_s=120, check_every=3)
    assert len(read) == 3
    assert [one.problem for one in outcomes] == ["first", *[None] * 6]


async def test_the_status_of_answers_that_are_not_read_whole_is_checked() -> None:
    async with serving(say(b"HTTP/1.1 429 X\r\ncontent-length: 4\r\n\r\nbusy")) as (_, target):
        outcomes = await closed_loop(target, PlainJob(), 1, iter(range(3)), timeout_s=120, check_every=3)
    assert [one.problem for one in outcomes] == ["status 429", "status 429: busy", "status 429: busy"]
    assert all(one.is_complete and one.has_failed for one in outcomes)


async def test_a_closed_loop_goes_on_after_a_lost_connection_but_not_at_once() -> None:
    def respond(n: int, writer: asyncio.StreamWriter) -> None:
        writer.write(OK) if n else writer.close()

    async with serving(respond) as (server, target):
        outcomes = await closed_loop(target, PlainJob(), 1, iter(range(2)), timeout_s=120)
    assert [one.is_complete for one in outcomes] == [False, True]
    assert "before the response was complete" in (outcomes[0].problem or "")
    assert outcomes[1].sent - outcomes[0].ended >= 0.09
    assert server.connections == 2
