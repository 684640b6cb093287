"""Connections to Redis, and the translation of its errors."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff
from redis.exceptions import ConnectionError, OutOfMemoryError, ReadOnlyError, TimeoutError
from typing_extensions import override

from service.platform.errors import QueueUnavailable

CONNECTIONS = 16
"""Most connections of a client. Calls are short and none blocks, so more would not make one process faster."""
_TIMEOUT_S = 5.0


def connect(url: str, *, timeout_s: float = _TIMEOUT_S) -> Redis:
    """A client of the server at ``redis://``, ``rediss://`` or ``unix://``; connects when it is first used.

    All callers share its connections: a call waits at most ``timeout_s`` for one, and as long for the server.
    """
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=CONNECTIONS,
        timeout=timeout_s,
        decode_responses=True,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(ConstantBackoff(0.05), 1),  # for a stale connection; callers handle an outage
    )
    pool.connection_class = type("Connection", (_CancelSafeConnection, pool.connection_class), {})
    return Redis.from_pool(pool)


class _CancelSafeConnection(AbstractConnection):
    """A connection on which a cancelled call is always cancelled.

    redis-py sends with ``asyncio.wait_for``, which before Python 3.12 swallows a cancel that arrives as the write completes.
    """

    @override
    async def send_packed_command(self, command: bytes | str | Iterable[bytes], check_health: bool = True) -> None:
        task = asyncio.current_task()
        cancels = task.cancelling() if task else 0
        await super().send_packed_command(command, check_health)
        if task and task.cancelling() > cancels:
            # The command is sent and its reply will arrive: the next call on this connection would read it as its own.
            await self.disconnect(nowait=True)
            raise asyncio.CancelledError


@contextmanager
def answering() -> Iterator[None]:
    """Raises ``QueueUnavailable`` for a server that is unreachable, full or read-only."""
    try:
        yield
    except (ConnectionError, TimeoutError, OutOfMemoryError, ReadOnlyError, OSError) as error:
        raise QueueUnavailable(str(error) or type(error).__name__) from error
