"""What strangers do to a server, each in a process of its own beside the measurement. None of them has a key."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from typing import Any

from loadtest.errors import BenchFailed
from loadtest.http.requests import Target

_CHUNK = b"a" * 65536
_BIG = 60 * 2**20


async def endless_header(target: Target) -> None:
    """A header that does not end, as fast as it is taken."""
    await _flood(target, target.head("GET", "/healthz")[:-2] + b"X: ")


async def endless_request_line(target: Target) -> None:
    """A request line that does not end."""
    await _flood(target, b"GET /")


async def half_head(target: Target) -> None:
    """Half a head, and then nothing."""
    await _open(target, target.head("GET", "/healthz")[:-2])


async def silent_socket(target: Target) -> None:
    """A connection on which nothing comes."""
    await _open(target, b"")


async def slow_body(target: Target) -> None:
    """An upload of one byte a second."""
    head = target.head("POST", "/caption", Content_Type="application/json", Content_Length=100_000)
    await _open(target, head, trickle=b"{")


async def big_body(target: Target) -> None:
    """An upload of 60 MiB, as fast as it is taken."""
    head = target.head("POST", "/caption", Content_Type="application/json", Content_Length=_BIG)
    await _flood(target, head, most=_BIG)


async def big_document(target: Target) -> None:
    """60 MiB to an endpoint that takes a page of text."""
    head = target.head("PUT", "/missions/x/guidance", Content_Type="application/json", Content_Length=_BIG)
    await _flood(target, head, most=_BIG)


async def unread_response(target: Target) -> None:
    """Requests whose responses are not read."""
    await _open(target, target.head("GET", "/openapi.json") * 16)


ATTACKS: dict[str, tuple[Callable[[Target], Coroutine[object, object, None]], int]] = {
    "endless header": (endless_header, 8),
    "endless request line": (endless_request_line, 8),
    "half heads": (half_head, 500),
    "silent sockets": (silent_socket, 1100),
    "slow bodies": (slow_body, 256),
    "big bodies": (big_body, 30),
    "big documents": (big_document, 12),
    "unread responses": (unread_response, 200),
}
"""What each connection does, and how many do it at once; one that ends is opened again."""


def start_attack(name: str, target: Target) -> BaseProcess:
    """The process of an attack, running. The caller ends it."""
    process = get_context("spawn").Process(target=_attack, args=(name, target), daemon=True)
    process.start()
    return process


def _attack(name: str, target: Target) -> None:
    raise_open_files()
    act, connections = ATTACKS[name]

    async def again() -> None:
        while True:
            with suppress(OSError, asyncio.IncompleteReadError):
                await act(target)
            await asyncio.sleep(0.05)

    async def all_at_once() -> None:
        await asyncio.gather(*(again() for _ in range(connections)))

    asyncio.run(all_at_once())


def raise_open_files() -> None:
    """Allows this process as many open files as it may have."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def _open(target: Target, data: bytes, trickle: bytes = b"") -> None:
    """Sends ``data``, then ``trickle`` every second, and reads nothing, until the server ends the connection."""
    reader, writer = await asyncio.open_connection(target.host, target.port, limit=1024)
    try:
        writer.write(data)
        while not reader.at_eof():
            await asyncio.sleep(1.0)
            if trickle:
                writer.write(trickle)
                await writer.drain()
            if writer.is_closing():
                return
    finally:
        writer.transport.abort()


async def _flood(target: Target, head: bytes, most: int = 2**40) -> None:
    """Sends ``head`` and then ``most`` bytes, until the server answers or ends the connection."""
    reader, writer = await asyncio.open_connection(target.host, target.port)
    answer = asyncio.ensure_future(reader.read(1))
    try:
        writer.write(head)
        sent = 0
        while sent < most and not answer.done():
            writer.write(_CHUNK)
            sent += len(_CHUNK)
            await writer.drain()
        await answer
    finally:
        answer.cancel()
        writer.transport.abort()


class Followers:
    """A process that follows tickets, each until its end."""

    def __init__(self, target: Target, paths: Sequence[str], followers: int) -> None:
        self._pipe, child = get_context("spawn").Pipe()
        self.process = get_context("spawn").Process(
            target=_follow_all, args=(target, paths, followers, child), daemon=True
        )
        self.process.start()
        child.close()

    async def receive(self) -> int:
        """The next number: how many streams were answered or cut off, then how many ended without the end of their ticket."""
        try:
            while True:
                if self._pipe.poll():
                    return int(self._pipe.recv())
                await asyncio.sleep(0.02)
        except EOFError:  # only when all that it sent before it ended has been read
            raise BenchFailed("the followers' process has ended") from None


def _follow_all(target: Target, paths: Sequence[str], followers: int, pipe: Any) -> None:
    raise_open_files()
    settled = 0

    def settle() -> None:
        nonlocal settled
        settled += 1
        if settled == followers:
            pipe.send(settled)

    async def follow(path: str) -> bool:
        received = b""
        with suppress(OSError):
            reader, writer = await asyncio.open_connection(target.host, target.port)
            writer.write(target.head("GET", f"{path}/events", Accept="text/event-stream"))
            while b"event: finished" not in received and (data := await reader.read(65536)):
                if not received:
                    settle()
                received += data
            writer.transport.abort()
        if not received:
            settle()
        return b"event: finished" in received

    async def all_at_once() -> None:
        ended = await asyncio.gather(*(follow(paths[n % len(paths)]) for n in range(followers)))
        pipe.send(ended.count(False))

    asyncio.run(all_at_once())
