"""The application behind a real socket of the test's process, and callers that speak HTTP byte by byte."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from starlette.types import ASGIApp

from service.app.context import Context
from service.app.http import create_app
from service.platform.http_limits import HttpLimits
from service.platform.http_protocol import server_limits
from service.platform.server import server

GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


@dataclass
class Caller:
    """A connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def send(self, data: bytes) -> Caller:
        self.writer.write(data)
        return self

    async def rest(self) -> bytes:
        """What the server sends until it closes the connection."""
        received = b""
        try:
            while data := await asyncio.wait_for(self.reader.read(65536), 30):
                received += data
        except ConnectionError:
            pass
        return received

    async def head(self) -> bytes:
        """The head of the next response."""
        return await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 30)

    async def status(self) -> int:
        """The status of the next response, whose body is read too; 0 if the connection ends without one."""
        try:
            head = (await self.head()).lower()
            if b"content-length: " in head:
                await self.reader.readexactly(int(head.split(b"content-length: ")[1].split(b"\r\n")[0]))
        except (asyncio.IncompleteReadError, ConnectionError):
            return 0
        return int(head.split()[1])

    @property
    def answered(self) -> bool:
        """Whether something has come back, or the connection has ended."""
        return bool(self.reader._buffer) or self.reader.at_eof()  # type: ignore[attr-defined]

    def close(self) -> None:
        self.writer.transport.abort()


@dataclass
class SocketServer:
    """A running server. ``context.web.server`` counts its connections and bytes."""

    context: Context
    port: int
    callers: list[Caller] = field(default_factory=list)

    async def call(self, data: bytes = b"") -> Caller:
        """A new connection on which ``data`` is sent."""
        caller = Caller(*await asyncio.open_connection("127.0.0.1", self.port)).send(data)
        self.callers.append(caller)
        return caller

    async def status(self, data: bytes) -> int:
        """The status of the response to a request on a connection of its own."""
        caller = await self.call(data)
        status = await caller.status()
        caller.close()
        return status

    async def become_quiet(self) -> None:
        """Returns when no caller is left, and no byte of a body."""
        for caller in self.callers:
            caller.close()
        self.callers.clear()
        async with asyncio.timeout(30):
            while self.connections or self.context.web.server.bytes.used:
                await asyncio.sleep(0.01)

    @property
    def connections(self) -> int:
        return len(self.context.web.server.connections)


@asynccontextmanager
async def listening(
    context: Context, limits: HttpLimits, app: ASGIApp | None = None
) -> AsyncGenerator[SocketServer, None]:
    """The application of ``context``, or ``app``, on a free port."""
    counters = server_limits(limits, context.metrics.http.record_rejection)
    context = replace(context, web=replace(context.web, server=counters))
    http = server(
        app or create_app(context),
        context.web.admission,
        counters,
        host="127.0.0.1",
        port=0,
        drain_delay_s=0,
        drain_timeout_s=1,
    )
    serving = asyncio.ensure_future(http._serve())  # without the handlers of signals
    try:
        while not http.started:
            await asyncio.sleep(0.01)
        yield SocketServer(context, http.servers[0].sockets[0].getsockname()[1])
    finally:
        http.should_exit = True
        await serving
