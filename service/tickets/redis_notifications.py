"""Tells whoever follows a ticket that something happened to it, in whichever process: one connection for all followers.

A change publishes an empty message under the name of the ticket's stream of events. Nothing depends on its arrival: a
follower reads the stream, and the bell only says when to look again.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

_log = structlog.get_logger("vqc")
_LISTEN_S = 1.0
_AGAIN_S = 0.5


class EventNotifier:
    """The bells of those that follow streams whose names match ``pattern``."""

    def __init__(self, redis: Redis, pattern: str) -> None:
        self._redis = redis
        self._pattern = pattern
        self._bells: defaultdict[str, set[asyncio.Event]] = defaultdict(set)

    @contextmanager
    def bell(self, stream: str) -> Iterator[asyncio.Event]:
        """Rings, inside the block, after each change of the stream; at times without one."""
        bell = asyncio.Event()
        self._bells[stream].add(bell)
        try:
            yield bell
        finally:
            self._bells[stream].discard(bell)
            if not self._bells[stream]:
                del self._bells[stream]

    async def listen(self) -> None:
        """Rings until it is cancelled; while the server is away, followers hear nothing."""
        while True:
            try:
                await self._subscribed()
            except (RedisError, OSError) as error:
                _log.warning("no news of tickets", error=str(error) or type(error).__name__)
            await asyncio.sleep(_AGAIN_S)

    async def _subscribed(self) -> None:
        async with self._redis.pubsub() as heard:
            await heard.psubscribe(self._pattern)
            while True:
                message = await heard.get_message(timeout=_LISTEN_S)
                if message is None:
                    continue
                if message["type"] == "pmessage":
                    self._ring(message["channel"])
                else:  # subscribed, perhaps again: what happened before it was not heard
                    for stream in [*self._bells]:
                        self._ring(stream)

    def _ring(self, stream: str) -> None:
        for bell in self._bells.get(stream, ()):
            bell.set()
