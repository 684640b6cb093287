"""Connections to Redis, and the translation of its errors."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import structlog
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff
from redis.exceptions import RedisError
from redis.typing import EncodableT
from typing_extensions import override

from service.platform.redis_answers import is_refusal, unavailable

CONNECTIONS = 16
"""Most connections of a client. Calls are short and none blocks, so more would not make one process faster."""
_TIMEOUT_S = 5.0
_KEY = re.compile(r"[\w.:-]{1,120}")
_WITHOUT_KEYS = ("AUTH", "HELLO", "ACL", "CONFIG", "SCRIPT", "CLIENT", "FUNCTION", "MIGRATE")
"""Commands whose arguments may be a password or a script."""
_log = structlog.get_logger("vqc.redis")


def connect(url: str, *, timeout_s: float = _TIMEOUT_S) -> Redis:
    """A client of the server at ``redis://``, ``rediss://`` or ``unix://``; connects when it is first used.

    All callers share its connections: a call waits at most ``timeout_s`` for one, and as long for the server.
    """
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=CONNECTIONS,
        timeout=timeout_s,
        decode_responses=True,
        encoding_errors="surrogateescape",  # bytes that are no text make one record unreadable, not the connection
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(ConstantBackoff(0.05), 1),  # for a stale connection; callers handle an outage
    )
    pool.connection_class = type("Connection", (_CancelSafeConnection, pool.connection_class), {})
    return Redis.from_pool(pool)


def _facts(args: Sequence[EncodableT]) -> dict[str, object]:
    """A command's name, the key that it names first, and its size: no values, no scripts, no password."""
    name = _text(args[0]).upper()
    words = (
        [] if name.startswith(_WITHOUT_KEYS) else list(map(_text, args[3:] if name.startswith("EVAL") else args[1:]))
    )
    key = next((word for word in words if ":" in word), "")
    if not _KEY.fullmatch(key):
        key = ""
    head, client_key, _ = key.partition(":idempotency:")  # what follows is the client's own
    size = sum(len(arg) if isinstance(arg, bytes | str) else 8 for arg in args)
    return {"command": name, "key": (head + client_key) or None, "arguments": len(args) - 1, "size": size}


def _text(arg: EncodableT) -> str:
    return bytes(arg).decode("utf-8", "replace") if isinstance(arg, bytes | memoryview) else str(arg)


class _CancelSafeConnection(AbstractConnection):
    """A connection on which a cancelled call is always cancelled.

    redis-py sends with ``asyncio.wait_for``, which before Python 3.12 swallows a cancel that arrives as the write completes.
    """

    @override
    def pack_command(self, *args: EncodableT) -> list[bytes]:
        if _log.is_enabled_for(logging.DEBUG):
            _log.debug("redis_asked", **_facts(args))
        return super().pack_command(*args)

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
    """Raises ``QueueUnavailable`` for whatever Redis answers instead of doing what it was asked, and if it does not answer."""
    try:
        yield
    except (RedisError, OSError) as error:
        if isinstance(error, RedisError) and not is_refusal(error):
            raise
        raise unavailable(error) from error
