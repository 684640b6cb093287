"""HTTP/1.1 over one keep-alive connection, and a pool of such connections.

``httptools`` parses the responses, of known length and streamed alike. Times are ``perf_counter`` seconds, a clock that all
processes of a Linux machine share.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from time import perf_counter
from typing import cast

import httptools
from typing_extensions import override

from loadtest.http.requests import Target


class ConnectionLost(Exception):
    """The connection ended before the response was complete. ``unanswered``: not one byte of it had arrived."""

    def __init__(self, reason: str, *, unanswered: bool) -> None:
        self.unanswered = unanswered
        super().__init__(reason)


@dataclass(slots=True)
class Reply:
    """A response. ``arrivals`` holds, for each piece of the body, its time of arrival and the body's length then."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)
    arrivals: list[tuple[float, int]] = field(default_factory=list)

    def time_of_byte(self, end: int) -> float:
        """When the byte before ``end`` arrived."""
        return next(at for at, ends in self.arrivals if ends >= end)


class Connection(asyncio.Protocol):
    """One connection, one exchange at a time."""

    def __init__(self) -> None:
        self.open = False
        self._transport: asyncio.Transport | None = None
        self._waiting: asyncio.Future[Reply] | None = None
        self._reply = Reply()

    async def exchange(self, request: bytes) -> Reply:
        """Sends a request and returns the complete response. Cancelling it closes the connection.

        Raises:
            ConnectionLost: the connection ended first, or the response is not HTTP.
        """
        assert self._transport is not None
        self._reply = Reply()
        self._parser = httptools.HttpResponseParser(self)
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        try:
            return await self._waiting
        except asyncio.CancelledError:
            # The rest of this response is still on its way: the next request would get it as its own.
            self.close()
            raise
        finally:
            self._waiting = None

    def close(self) -> None:
        """Closes at once."""
        self.open = False
        if self._transport:
            self._transport.abort()

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport, self.open = cast(asyncio.Transport, transport), True

    @override
    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(f"the response is not HTTP: {error}")
            self.close()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self.open = False
        self._fail(f"the connection closed before the response was complete: {exc or 'end of stream'}")

    def on_header(self, name: bytes, value: bytes) -> None:
        """A callback of the parser, as are those below."""
        self._reply.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """The head is complete."""
        self._reply.status = self._parser.get_status_code()

    def on_body(self, data: bytes) -> None:
        """A piece of the body."""
        self._reply.body += data
        self._reply.arrivals.append((perf_counter(), len(self._reply.body)))

    def on_message_complete(self) -> None:
        """The response is complete."""
        if not self._parser.should_keep_alive():
            self.close()
        if self._waiting and not self._waiting.done():
            self._waiting.set_result(self._reply)

    def _fail(self, reason: str) -> None:
        if self._waiting and not self._waiting.done():
            self._waiting.set_exception(ConnectionLost(reason, unanswered=not self._reply.status))


class Pool:
    """One connection per request in flight to one server; idle connections are reused."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._idle: list[Connection] = []

    async def exchange(self, request: bytes) -> Reply:
        """Sends a request and returns the response.

        Raises:
            ConnectionLost, OSError: no complete response.
        """
        idle = self._take_idle()
        connection = idle or await self._connect()
        try:
            reply = await connection.exchange(request)
        except ConnectionLost as error:
            # A server may close an idle connection just as the request leaves. It did not process that request: send it again.
            if idle is None or not error.unanswered:
                raise
            connection = await self._connect()
            reply = await connection.exchange(request)
        if connection.open:
            self._idle.append(connection)
        return reply

    def close(self) -> None:
        """Closes the idle connections."""
        for connection in self._idle:
            connection.close()
        self._idle.clear()

    def _take_idle(self) -> Connection | None:
        while self._idle:
            if (connection := self._idle.pop()).open:
                return connection
        return None

    async def _connect(self) -> Connection:
        loop, target = asyncio.get_running_loop(), self._target
        if target.uds is not None:
            return (await loop.create_unix_connection(Connection, target.uds))[1]
        return (await loop.create_connection(Connection, target.host, target.port))[1]
