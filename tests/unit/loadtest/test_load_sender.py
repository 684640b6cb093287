"""The connection, the pool and the open loop against small servers of this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import perf_counter

import pytest

from loadtest.http.connection import ConnectionLost, Pool, Reply
from loadtest.http.requests import Target
from loadtest.load.reading import Reading
from loadtest.load.sender import Due, closed_loop, open_loop

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi"
Respond = Callable[[int, asyncio.StreamWriter], "asyncio.Future[None] | object"]


class Server:
    """Answers request ``n`` (over all connections) as ``respond`` does."""

    def __init__(self, respond: Respond) -> None:
        self.respond = respond
        self.requests = 0
        self.connections = 0

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                n, self.requests = self.requests, self.requests + 1
                answer = self.respond(n, writer)
                if asyncio.iscoroutine(answer):
                    await answer
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def serving(respond: Respond) -> AsyncGenerator[tuple[Server, Target], None]:
    server = Server(respond)
    listening = await asyncio.start_server(server.handle, "127.0.0.1", 0)
    async with listening:
        yield server, Target(host="127.0.0.1", port=listening.sockets[0].getsockname()[1])


def say(data: bytes) -> Respond:
    return lambda n, writer: writer.write(data)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plain:
    """A job whose answers are right when they are 200."""

    label: str = "plain"

    def request(self, n: int) -> bytes:
        return GET

    def follow(self, reply: Reply) -> bytes | None:
        return None

    def read(self, replies: Sequence[Reply]) -> Reading:
        return Reading(problem=None if replies[0].status == 200 else f"status {replies[0].status}")


async def test_answers_of_known_length_share_a_connection() -> None:
    async with serving(say(OK)) as (server, target):
        pool = Pool(target)
        replies = [await pool.exchange(GET) for _ in range(3)]
        pool.close()
    assert [(reply.status, bytes(reply.body)) for reply in replies] == [(200, b"hi")] * 3
    assert server.connections == 1


async def test_a_chunked_answer_says_when_each_piece_came() -> None:
    async def respond(n: int, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-A: b\r\n\r\n4\r\nevnt\r\n")
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.write(b"3\r\nend\r\n0\r\n\r\n")

    async with serving(respond) as (_, target):
        reply = await Pool(target).exchange(GET)
    assert (bytes(reply.body), reply.headers["x-a"]) == (b"evntend", "b")
    assert reply.arrived(4) < reply.arrived(5) == reply.arrived(7)


async def test_an_idle_connection_that_the_server_closed_is_replaced() -> None:
    def respond(n: int, writer: asyncio.StreamWriter) -> None:
        writer.write(OK) if n != 1 else writer.close()

    async with serving(respond) as (server, target):
        pool = Pool(target)
        assert [bytes((await pool.exchange(GET)).body) for _ in range(2)] == [b"hi", b"hi"]
        pool.close()
    assert (server.connections, server.requests) == (2, 3)


@pytest.mark.parametrize(
    ("said", "reason"),
    [(b"", "before the answer was complete"), (OK[:-1], "before the answer was complete"), (b"SSH-2.0\r\n", "no HTTP")],
)
async def test_an_answer_that_breaks_off_is_an_error(said: bytes, reason: str) -> None:
    async def respond(n: int, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        await writer.drain()
        writer.close()

    async with serving(respond) as (_, target):
        with pytest.raises(ConnectionLost, match=reason):
            await Pool(target).exchange(GET)


async def test_requests_leave_when_due_whether_or_not_earlier_ones_were_answered() -> None:
    """A server that answers nobody before all have asked: a closed loop would wait for ever."""
    everybody = asyncio.Event()

    async def respond(n: int, writer: asyncio.StreamWriter) -> None:
        if n == 7:
            everybody.set()
        await everybody.wait()
        writer.write(OK)

    async with serving(respond) as (server, target):
        due = [Due(at=0.001 * n, job=0, n=n) for n in range(8)]
        outcomes = await open_loop(target, [Plain()], due, perf_counter(), timeout_s=20)
    assert [one.problem for one in outcomes] == [None] * 8
    assert server.connections == 8


async def test_latency_counts_from_when_a_request_was_due_not_from_when_it_was_sent() -> None:
    async with serving(say(OK)) as (_, target):
        (late,) = await open_loop(target, [Plain()], [Due(at=0.0, job=0, n=0)], perf_counter() - 5, timeout_s=20)
    assert late.sent - late.due >= 5
    assert late.ended - late.due >= 5


async def test_what_goes_wrong_is_an_outcome() -> None:
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
        due = [Due(at=0.05 * n, job=0, n=n) for n in range(3)]
        outcomes = await open_loop(target, [Plain()], due, perf_counter(), timeout_s=0.5)
        over.set()
    problems = [one.problem or "" for one in outcomes]
    assert problems[0] == "status 500"
    assert "before the answer was complete" in problems[1]
    assert problems[2] == "no answer within 0.5 s"
    assert all(one.failed for one in outcomes)


async def test_nobody_listening_is_an_outcome_too() -> None:
    async with serving(say(OK)) as (_, target):
        pass
    (outcome,) = await open_loop(target, [Plain()], [Due(at=0, job=0, n=0)], perf_counter(), timeout_s=5)
    assert outcome.failed


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
            target, Plain(), 3, lambda: next(numbers), lambda _: perf_counter() < until, timeout_s=5
        )
    assert most == 3
    assert len(outcomes) == server.requests == next(numbers)


async def test_a_closed_loop_spreads_the_first_requests_of_its_clients() -> None:
    """A server that answers nobody before the last client has asked: by then the others have waited their turns."""
    asked, everybody = list[float](), asyncio.Event()

    async def respond(n: int, writer: asyncio.StreamWriter) -> None:
        asked.append(perf_counter())
        if n == 3:
            everybody.set()
        await everybody.wait()
        writer.write(OK)

    async with serving(respond) as (_, target):
        began = perf_counter()
        await closed_loop(target, Plain(), 4, lambda: 0, lambda answered: not answered, timeout_s=20, spread_s=0.4)
    assert all(at - began >= 0.1 * n for n, at in enumerate(asked))
