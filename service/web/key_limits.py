"""The rate limit and the daily quota of each API key, counted over all API processes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime, timedelta

import structlog
from limits import RateLimitItemPerDay, RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage, Storage
from limits.aio.strategies import FixedWindowRateLimiter, SlidingWindowCounterRateLimiter

from service.platform.errors import QueueUnavailable, QuotaSpent, RateLimited
from service.web.auth import Caller

_RETRY_AFTER_OUTAGE_S = 5.0
_log = structlog.get_logger("vqc")


class KeyLimits:
    """Counts the requests of keys. ``rate_per_minute`` and ``quota_per_day`` are for keys that name none; None is no limit.

    ``storage`` is shared by the processes; ``reporting`` raises ``QueueUnavailable`` in place of its errors. While it does
    not answer, each process counts for itself: neither must a limit end with Redis, nor captions, which need no Redis.
    """

    def __init__(
        self,
        storage: Storage | None = None,
        *,
        rate_per_minute: int | None = None,
        quota_per_day: int | None = None,
        reporting: Callable[[], AbstractContextManager[None]] = nullcontext,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._own = MemoryStorage()
        self._storage = storage or self._own
        self._rate = rate_per_minute
        self._quota = quota_per_day
        self._reporting = reporting
        self._clock = clock
        self._outage_ends = datetime.min.replace(tzinfo=UTC)

    async def count_request(self, caller: Caller) -> None:
        """Counts one request. Raises ``RateLimited`` if the key has sent its requests of this minute."""
        limit = self._rate if caller.rate_per_minute is None else caller.rate_per_minute
        if caller.key_id is None or limit is None:
            return
        item, key_id = RateLimitItemPerMinute(limit, namespace="vqc"), caller.key_id

        async def take(storage: Storage) -> float | None:
            limiter = SlidingWindowCounterRateLimiter(storage)
            if await limiter.hit(item, key_id):
                return None
            stats = await limiter.get_window_stats(item, key_id)
            return stats.reset_time - self._clock().timestamp()

        if (wait_s := await self._take(take)) is not None:
            raise RateLimited(limit, max(1.0, wait_s))

    async def count_work(self, caller: Caller) -> None:
        """Counts one request for work. Raises ``QuotaSpent`` if the key has spent its quota of this day (UTC)."""
        limit = self._quota if caller.quota_per_day is None else caller.quota_per_day
        if caller.key_id is None or limit is None:
            return
        now, item, key_id = self._clock(), RateLimitItemPerDay(limit, namespace="vqc"), caller.key_id

        async def take(storage: Storage) -> float | None:
            if await FixedWindowRateLimiter(storage).hit(item, key_id, f"{now:%Y-%m-%d}"):
                return None
            midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
            return (midnight - now).total_seconds()

        if (wait_s := await self._take(take)) is not None:
            raise QuotaSpent(limit, max(1.0, wait_s))

    async def _take(self, take: Callable[[Storage], Awaitable[float | None]]) -> float | None:
        """Seconds until the limit has room again; None if it had room."""
        if self._clock() >= self._outage_ends:
            try:
                with self._reporting():
                    return await take(self._storage)
            except QueueUnavailable as error:
                self._outage_ends = self._clock() + timedelta(seconds=_RETRY_AFTER_OUTAGE_S)
                _log.warning("key_limits_unshared", error=str(error))
        return await take(self._own)
