"""The closed loop against small servers of this process: it counts what happens and waits for what is in flight."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import pytest

from loadtest.client import CHECK_EVERY, ClosedLoop
from loadtest.errors import BenchFailed
from loadtest.http.requests import Target

REQUESTS = [b"A", b"B", b"C"]  # the servers here read one byte as a request


def ok(body: bytes = b"{}", status: int = 200) -> bytes:
    return f"HTTP/1.1 {status} X\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


@asynccontextmanager
async def serving(respond: Callable[[bytes, int], bytes | None]) -> AsyncGenerator[Target, None]:
    """Answers request ``n`` (counted over all connections) with ``respond``; None closes the connection."""
    count = 0

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        try:
            while request := await reader.read(1):
                await asyncio.sleep(0.001)
                response = respond(request, count)
                count += 1
                if response is None:
                    break
                writer.write(response)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        yield Target(host="127.0.0.1", port=server.sockets[0].getsockname()[1])


async def load(target: Target, connections: int, check: Callable[[bytes], str | None] = lambda _: None) -> ClosedLoop:
    async with ClosedLoop(target, REQUESTS, connections, check) as loop:
        await loop.warm_up(0.01, timeout_s=10)
        loop.tally.recording = True
        await loop.hold(0.1)
        loop.tally.recording = False
    return loop


async def test_every_answer_counts_and_latencies_only_while_recording() -> None:
    served = 0

    def respond(request: bytes, n: int) -> bytes:
        nonlocal served
        served += 1
        return ok()

    async with serving(respond) as target:
        loop = await load(target, connections=3)

    assert loop.tally.answers == served
    assert 0 < len(loop.tally.latencies_s) < served
    assert min(loop.tally.latencies_s) > 0
    assert (loop.tally.errors, loop.tally.problem) == (0, None)


async def test_connections_rotate_through_the_requests_from_different_places() -> None:
    seen: defaultdict[object, bytes] = defaultdict(bytes)

    def respond(request: bytes, n: int) -> bytes:
        seen[asyncio.current_task()] += request  # a task serves a connection
        return ok()

    async with serving(respond) as target:
        await load(target, connections=3)

    assert {requests[:1] for requests in seen.values()} == set(REQUESTS)
    assert all(requests in b"ABC" * len(requests) for requests in seen.values())


async def test_another_status_is_an_error_with_its_text_and_no_latency() -> None:
    async with serving(lambda request, n: ok(b"busy", 429)) as target:
        loop = await load(target, connections=2)

    assert loop.tally.errors == loop.tally.answers > 0
    assert loop.tally.problem == "status 429: busy"
    assert loop.tally.latencies_s == []


async def test_the_first_and_every_so_many_answers_are_checked_whole() -> None:
    checked = 0

    def check(body: bytes) -> str | None:
        nonlocal checked
        checked += 1
        return "first" if checked == 1 else None

    async with serving(lambda request, n: ok()) as target:
        loop = await load(target, connections=1, check=check)

    assert checked == (loop.tally.answers - 1) // CHECK_EVERY + 1
    assert (loop.tally.errors, loop.tally.problem) == (1, "first")


async def test_a_connection_that_the_server_closes_is_an_error_and_ends_the_level() -> None:
    async with serving(lambda request, n: ok() if n < 4 else None) as target:
        loop = await load(target, connections=2)

    assert (loop.tally.answers, loop.tally.errors) == (4, 2)
    assert "closed before the answer was complete" in (loop.tally.problem or "")


async def test_what_is_not_http_is_an_error() -> None:
    async with serving(lambda request, n: b"SSH-2.0\r\n\r\n") as target:
        loop = await load(target, connections=1)

    assert loop.tally.errors == 1
    assert "must be HTTP/1.1" in (loop.tally.problem or "")


async def test_a_server_that_never_answers_is_said_after_the_timeout() -> None:
    async with serving(lambda request, n: b"") as target:
        with pytest.raises(BenchFailed, match="2 of 2 connections got no answer"):
            async with ClosedLoop(target, REQUESTS, 2, lambda _: None) as loop:
                await loop.warm_up(0.01, timeout_s=0.05)


async def test_nobody_listening_is_said() -> None:
    async with serving(lambda request, n: ok()) as target:
        pass
    with pytest.raises(BenchFailed, match="cannot connect to 127"):
        async with ClosedLoop(target, REQUESTS, 1, lambda _: None):
            pass
