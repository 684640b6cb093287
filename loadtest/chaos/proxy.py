"""Lies between the product and its Redis: cuts connections, and lets requests through whose answers it loses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path


class RedisProxy:
    """Forwards a Unix socket to another one."""

    def __init__(self, server: Path) -> None:
        self._server = server
        self._writers: set[asyncio.StreamWriter] = set()
        self.loses_answers = False

    @asynccontextmanager
    async def listen(self, socket: Path) -> AsyncGenerator[None, None]:
        """Listens on ``socket`` inside the block."""
        server = await asyncio.start_unix_server(self._serve, socket)
        try:
            yield
        finally:
            server.close()
            self.cut()

    def cut(self) -> None:
        """Cuts every connection."""
        for writer in [*self._writers]:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            there, back = await asyncio.open_unix_connection(self._server)
        except OSError:
            writer.close()
            self._writers.discard(writer)
            return
        pumps = [
            asyncio.ensure_future(self._pump(reader, back, answers=False)),
            asyncio.ensure_future(self._pump(there, writer, answers=True)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            for one in (writer, back):
                with suppress(OSError, RuntimeError):
                    one.close()
            self._writers.discard(writer)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, answers: bool) -> None:
        with suppress(OSError):
            while data := await source.read(65536):
                if answers and self.loses_answers:
                    return  # the request is done, its answer is lost, and the connection is cut
                sink.write(data)
                await sink.drain()
