"""Connections to Redis, and its failures in our words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff
from redis.exceptions import ConnectionError, OutOfMemoryError, ReadOnlyError, TimeoutError

from service.domain.errors import QueueUnavailable

LONGEST_BLOCK_MS = 2000
"""Longest blocking read; the client gives up on a silent socket after ``_SOCKET_TIMEOUT_S``."""
_SOCKET_TIMEOUT_S = 5.0


def connect(url: str, *, timeout_s: float = _SOCKET_TIMEOUT_S) -> Redis:
    """A client of the server behind ``redis://``, ``rediss://`` or ``unix://``; connects when first used."""
    return Redis.from_url(
        url,
        decode_responses=True,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(ConstantBackoff(0.05), 1),  # a connection that went stale; whoever calls waits out an outage
    )


@contextmanager
def answering() -> Iterator[None]:
    """Translates a server that is away, full or read-only. Raises ``QueueUnavailable``."""
    try:
        yield
    except (ConnectionError, TimeoutError, OutOfMemoryError, ReadOnlyError, OSError) as error:
        raise QueueUnavailable(str(error) or type(error).__name__) from error
