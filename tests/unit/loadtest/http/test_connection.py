"""The connection and the pool against small servers of this process."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.http.connection import Connection, ConnectionLost, Pool
from tests.support.http_server import GET, OK, say, serving


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
    assert reply.time_of_byte(4) < reply.time_of_byte(5) == reply.time_of_byte(7)


async def test_an_idle_connection_that_the_server_closed_is_replaced() -> None:
    def respond(n: int, writer: asyncio.StreamWriter) -> None:
        writer.write(OK) if n != 1 else writer.close()

    async with serving(respond) as (server, target):
        pool = Pool(target)
        assert [bytes((await pool.exchange(GET)).body) for _ in range(2)] == [b"hi", b"hi"]
        pool.close()
    assert (server.connections, server.requests) == (2, 3)


@pytest.mark.parametrize(
    ("wire", "reason"),
    [
        (b"", "before the response was complete"),
        (OK[:-1], "before the response was complete"),
        (b"SSH-2.0\r\n", "is not HTTP"),
    ],
)
async def test_an_answer_that_breaks_off_is_an_error(wire: bytes, reason: str) -> None:
    async def respond(n: int, writer: asyncio.StreamWriter) -> None:
        writer.write(wire)
        await writer.drain()
        writer.close()

    async with serving(respond) as (_, target):
        with pytest.raises(ConnectionLost, match=reason):
            await Pool(target).exchange(GET)


class Transport:
    """Takes whatever is written."""

    def write(self, data: bytes) -> None:
        pass

    def abort(self) -> None:
        pass


@given(
    bodies=st.lists(st.binary(max_size=40), min_size=1, max_size=4),
    status=st.sampled_from([200, 429, 503]),
    data=st.data(),
)
def test_answers_are_the_same_however_they_are_cut(bodies: list[bytes], status: int, data: st.DataObject) -> None:
    async def exchange_all() -> None:
        connection = Connection()
        connection.connection_made(cast(asyncio.Transport, Transport()))
        for body in bodies:
            wire = (
                f"HTTP/1.1 {status} Reason\r\ndate: x\r\ncontent-length: {len(body)}\r\nx-y: z\r\n\r\n".encode() + body
            )
            cuts = sorted(data.draw(st.sets(st.integers(1, len(wire) - 1), max_size=5)))
            pieces = [wire[a:b] for a, b in zip([0, *cuts], [*cuts, len(wire)], strict=True)]
            waiting = asyncio.create_task(connection.exchange(GET))
            await asyncio.sleep(0)
            for piece in pieces:
                assert not waiting.done()
                connection.data_received(piece)
            reply = await waiting
            assert (reply.status, bytes(reply.body), reply.headers["x-y"]) == (status, body, "z")

    asyncio.run(exchange_all())
