"""HTTP/1.1 over one keep-alive connection, answers of known length and streams alike, and a pool of such connections.

Parsing is ``httptools``'. Times are ``perf_counter`` seconds, which all processes of a Linux machine share.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from time import perf_counter
from typing import cast

import httptools

from loadtest.http.requests import Target


class ConnectionLost(Exception):
    """The connection ended before the answer was complete. ``unanswered``: not a byte of it had come."""

    def __init__(self, reason: str, *, unanswered: bool) -> None:
        self.unanswered = unanswered
        super().__init__(reason)


@dataclass(slots=True)
class Reply:
    """An answer. ``arrivals`` has, for each piece of the body, when it came and where in the body it ends."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)
    arrivals: list[tuple[float, int]] = field(default_factory=list)

    def arrived(self, end: int) -> float:
        """When the byte before ``end`` came."""
        return next(at for at, ends in self.arrivals if ends >= end)


class Connection(asyncio.Protocol):
    """One connection, one exchange at a time."""

    def __init__(self) -> None:
        self.open = False
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[Reply] | None = None
        self._reply = Reply()

    async def exchange(self, request: bytes) -> Reply:
        """The complete answer. Cancelling it closes the connection. Raises ``ConnectionLost``."""
        assert self._transport is not None
        self._reply = Reply()
        self._parser = httptools.HttpResponseParser(self)
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        try:
            return await self._answer
        except asyncio.CancelledError:
            self.close()
            raise
        finally:
            self._answer = None

    def close(self) -> None:
        """Closes at once."""
        self.open = False
        if self._transport:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See ``asyncio.Protocol``."""
        self._transport, self.open = cast(asyncio.Transport, transport), True

    def data_received(self, data: bytes) -> None:
        """See ``asyncio.Protocol``."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(f"what came is no HTTP: {error}")
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """See ``asyncio.Protocol``."""
        self.open = False
        self._fail(f"the connection closed before the answer was complete: {exc or 'end of stream'}")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser, as are those below."""
        self._reply.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """The head is complete."""
        self._reply.status = self._parser.get_status_code()

    def on_body(self, data: bytes) -> None:
        """A piece of the body."""
        self._reply.body += data
        self._reply.arrivals.append((perf_counter(), len(self._reply.body)))

    def on_message_complete(self) -> None:
        """The answer is complete."""
        if not self._parser.should_keep_alive():
            self.close()
        if self._answer and not self._answer.done():
            self._answer.set_result(self._reply)

    def _fail(self, reason: str) -> None:
        if self._answer and not self._answer.done():
            self._answer.set_exception(ConnectionLost(reason, unanswered=not self._reply.status))


class Pool:
    """As many connections to one server as there are requests in flight; idle ones are used again."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._idle: list[Connection] = []

    async def exchange(self, request: bytes) -> Reply:
        """The answer. A connection that the server closed while it was idle is replaced, once.

        Raises:
            ConnectionLost, OSError: no complete answer.
        """
        idle = self._take()
        connection = idle or await self._opened()
        try:
            reply = await connection.exchange(request)
        except ConnectionLost as error:
            if idle is None or not error.unanswered:
                raise
            connection = await self._opened()
            reply = await connection.exchange(request)
        if connection.open:
            self._idle.append(connection)
        return reply

    def close(self) -> None:
        """Closes the idle connections."""
        for connection in self._idle:
            connection.close()
        self._idle.clear()

    def _take(self) -> Connection | None:
        while self._idle:
            if (connection := self._idle.pop()).open:
                return connection
        return None

    async def _opened(self) -> Connection:
        loop, target = asyncio.get_running_loop(), self._target
        if target.uds is not None:
            return (await loop.create_unix_connection(Connection, target.uds))[1]
        return (await loop.create_connection(Connection, target.host, target.port))[1]
