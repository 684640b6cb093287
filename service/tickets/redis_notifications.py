"""Notifies the followers of a ticket in every process that its event stream has grown, over one connection per process.

A change publishes an empty message on the channel with the name of the stream. Correctness does not depend on it: followers
read the stream, and a notification only tells them to read again before their timeout.
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
_RECONNECT_S = 0.5


class EventNotifier:
    """Notifies subscribers of streams whose names match ``pattern``."""

    def __init__(self, redis: Redis, pattern: str) -> None:
        self._redis = redis
        self._pattern = pattern
        self._subscribers: defaultdict[str, set[asyncio.Event]] = defaultdict(set)

    @contextmanager
    def subscribe(self, stream: str) -> Iterator[asyncio.Event]:
        """An event that is set, inside the block, after each change of the stream, and sometimes without one."""
        changed = asyncio.Event()
        self._subscribers[stream].add(changed)
        try:
            yield changed
        finally:
            self._subscribers[stream].discard(changed)
            if not self._subscribers[stream]:
                del self._subscribers[stream]

    async def listen(self) -> None:
        """Notifies until it is cancelled; subscribers get nothing while Redis is unreachable."""
        while True:
            try:
                await self._relay_messages()
            except (RedisError, OSError) as error:
                _log.warning("notifications_unreachable", error=str(error) or type(error).__name__)
            await asyncio.sleep(_RECONNECT_S)

    async def _relay_messages(self) -> None:
        async with self._redis.pubsub() as channel:
            await channel.psubscribe(self._pattern)
            while True:
                message = await channel.get_message(timeout=_LISTEN_S)
                if message is None:
                    continue
                if message["type"] == "pmessage":
                    self._notify(message["channel"])
                else:
                    # Subscribed, perhaps after a lost connection: messages from before are lost, so everyone reads again.
                    for stream in [*self._subscribers]:
                        self._notify(stream)

    def _notify(self, stream: str) -> None:
        for changed in self._subscribers.get(stream, ()):
            changed.set()
