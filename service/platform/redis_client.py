"""Connections to Redis, and its failures in our words."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff
from redis.exceptions import ConnectionError, OutOfMemoryError, ReadOnlyError, TimeoutError

from service.platform.errors import QueueUnavailable

CONNECTIONS = 16
"""Most connections of a client. Calls are short and none waits for news, so more would not make one process faster."""
_TIMEOUT_S = 5.0


def connect(url: str, *, timeout_s: float = _TIMEOUT_S) -> Redis:
    """A client of the server behind ``redis://``, ``rediss://`` or ``unix://``; connects when first used.

    However many call at once, they share its connections: a call waits ``timeout_s`` at most for its turn, and as long for
    the server.
    """
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=CONNECTIONS,
        timeout=timeout_s,
        decode_responses=True,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(ConstantBackoff(0.05), 1),  # a connection that went stale; whoever calls waits out an outage
    )
    pool.connection_class = type("Connection", (_CancelsAreKept, pool.connection_class), {})
    return Redis.from_pool(pool)


class _CancelsAreKept(AbstractConnection):
    """Sends as redis-py does, with ``asyncio.wait_for``, which before Python 3.12 loses a cancel once all is written."""

    async def send_packed_command(self, command: bytes | str | Iterable[bytes], check_health: bool = True) -> None:
        task = asyncio.current_task()
        cancels = task.cancelling() if task else 0
        await super().send_packed_command(command, check_health)
        if task and task.cancelling() > cancels:
            await self.disconnect(nowait=True)
            raise asyncio.CancelledError


@contextmanager
def answering() -> Iterator[None]:
    """Translates a server that is away, full or read-only. Raises ``QueueUnavailable``."""
    try:
        yield
    except (ConnectionError, TimeoutError, OutOfMemoryError, ReadOnlyError, OSError) as error:
        raise QueueUnavailable(str(error) or type(error).__name__) from error
