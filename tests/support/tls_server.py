"""A real TLS server on this machine under a name of its own, for what calls out to allow-listed hosts."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import trustme

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def tls_server(authority: trustme.CA, host: str, handle: Handler) -> AsyncGenerator[tuple[int, dict[str, Any]]]:
    """Serves with a certificate for ``host``; yields its port and the arguments with which a caller reaches and trusts it."""
    context, trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert(host).configure_cert(context)
    authority.configure_trust(trusting)

    async def resolve(_host: str, _port: int) -> list[str]:
        return ["127.0.0.1"]

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=context)
    try:
        reaching = {"resolve": resolve, "allowed_address": lambda address: True, "tls": trusting}
        yield server.sockets[0].getsockname()[1], reaching
    finally:
        server.close()
        await server.wait_closed()
