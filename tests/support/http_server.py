"""A small HTTP server of the test's own process, which answers as the test says, and a job for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from loadtest.http.connection import Reply
from loadtest.http.requests import Target
from loadtest.load.job import Job, Reading

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi"
Respond = Callable[[int, asyncio.StreamWriter], "asyncio.Future[None] | object"]


class HttpServer:
    """Answers request ``n`` (over all connections) as ``respond`` does; ``ends_with`` ends the body of a POST."""

    def __init__(self, respond: Respond, ends_with: bytes) -> None:
        self.respond = respond
        self.ends_with = ends_with
        self.requests = 0
        self.connections = 0

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                if head.startswith(b"POST"):
                    await reader.readuntil(self.ends_with)
                n, self.requests = self.requests, self.requests + 1
                answer = self.respond(n, writer)
                if asyncio.iscoroutine(answer):
                    await answer
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def serving(respond: Respond, *, ends_with: bytes = b"") -> AsyncGenerator[tuple[HttpServer, Target], None]:
    server = HttpServer(respond, ends_with)
    listening = await asyncio.start_server(server.handle, "127.0.0.1", 0)
    async with listening:
        yield server, Target(host="127.0.0.1", port=listening.sockets[0].getsockname()[1])


def say(data: bytes) -> Respond:
    return lambda n, writer: writer.write(data)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainJob(Job):
    """A job whose answers are right when they are 200."""

    @property
    def label(self) -> str:
        return "plain"

    def request(self, n: int) -> bytes:
        return GET

    def follow(self, reply: Reply) -> bytes | None:
        return None

    def read(self, replies: Sequence[Reply]) -> Reading:
        return Reading(problem=None if replies[0].status == 200 else f"status {replies[0].status}")
