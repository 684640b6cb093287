"""Notifies the followers of tickets in a process that an event stream has grown, over one connection and by one poll.

A change publishes an empty message on the channel with the name of the stream. Correctness does not depend on it: followers
read the stream, and a notification only tells them to read again. A message can be lost with a connection, so after each
subscription every follower reads, and every ``_SWEEP_S`` one command asks for all followed streams at once.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import cast

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

_log = structlog.get_logger("vqc")
_LISTEN_S = 1.0
_RECONNECT_S = 0.5
_SWEEP_S = 10.0
_STREAMS_AT_ONCE = 500


class EventNotifier:
    """Notifies subscribers of streams whose names match ``pattern``."""

    def __init__(self, redis: Redis, pattern: str, *, sweep_s: float = _SWEEP_S) -> None:
        self._redis = redis
        self._pattern = pattern
        self._sweep_s = sweep_s
        self._subscribers: defaultdict[str, dict[asyncio.Event, str]] = defaultdict(dict)

    @contextmanager
    def subscribe(self, stream: str, after: str | None) -> Iterator[asyncio.Event]:
        """An event that is set, inside the block, after each change of the stream behind ``after``; sometimes without one."""
        changed = asyncio.Event()
        self._subscribers[stream][changed] = after or "0-0"
        try:
            yield changed
        finally:
            del self._subscribers[stream][changed]
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
        clock = asyncio.get_running_loop().time
        async with self._redis.pubsub() as channel:
            await channel.psubscribe(self._pattern)
            swept = clock()
            while True:
                message = await channel.get_message(timeout=min(_LISTEN_S, self._sweep_s))
                if message is not None and message["type"] == "pmessage":
                    self._notify(message["channel"])
                elif message is not None:
                    # Subscribed, perhaps after a lost connection: messages from before are lost, so everyone reads again.
                    for stream in [*self._subscribers]:
                        self._notify(stream)
                if clock() - swept >= self._sweep_s:
                    await self._sweep()
                    swept = clock()

    async def _sweep(self) -> None:
        """Notifies the followers of every stream that has grown: one command for hundreds of them."""
        behind = [(stream, min(afters.values(), key=_order)) for stream, afters in self._subscribers.items()]
        for start in range(0, len(behind), _STREAMS_AT_ONCE):
            found = await self._redis.xread(dict(behind[start : start + _STREAMS_AT_ONCE]), count=1)
            for stream, _ in cast(Sequence[tuple[str, object]], found or ()):
                self._notify(stream)

    def _notify(self, stream: str) -> None:
        for changed in self._subscribers.get(stream, ()):
            changed.set()


def _order(event_id: str) -> tuple[int, int]:
    moment, _, place = event_id.partition("-")
    return int(moment), int(place or 0)
