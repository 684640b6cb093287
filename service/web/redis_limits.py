"""The shared storage of ``KeyLimits``: Redis."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from limits.aio.storage import RedisStorage, Storage

from service.platform.redis_client import connect

_TIMEOUT_S = 0.5
"""Every limited request waits for the count. A Redis that is slower than this is treated as unreachable."""


@asynccontextmanager
async def redis_limits(url: str) -> AsyncGenerator[Storage, None]:
    """The storage on the Redis at ``url``. Its errors are those of Redis."""
    async with connect(url, timeout_s=_TIMEOUT_S) as redis:
        pool = redis.connection_pool
        yield RedisStorage("async+redis://", implementation="redispy", key_prefix="vqc:limit", connection_pool=pool)  # type: ignore[arg-type]
