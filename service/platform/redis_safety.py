"""Whether a Redis keeps what it is given: its version, its append-only file, its eviction policy and its memory.

A server with an eviction policy deletes accepted tickets when it is full, and one without an append-only file loses them at a
restart. Both answer every call as if nothing had happened, so they are asked: at the start, and by every readiness check.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, cast

import structlog
from redis.asyncio import Redis

from service.platform.errors import QueueUnavailable
from service.platform.redis_client import answering
from vqc.errors import InvalidValue

_OLDEST = (7, 0)
_LEAST_MEMORY = 64 * 2**20
"""Below it a server is full with the first few thousand tickets."""
_log = structlog.get_logger("vqc.redis")


class RedisSafety:
    """Asks one server. With ``allow`` an unsafe one is only logged, at the start."""

    def __init__(self, redis: Redis, *, allow: bool) -> None:
        self._redis = redis
        self._allow = allow

    async def check_at_start(self) -> None:
        """Raises ``InvalidValue`` for a server that can lose tickets. One that cannot be reached yet is checked later."""
        try:
            with answering():
                info = await self._info()
                reasons = await self._reasons(info)
        except QueueUnavailable as error:
            _log.warning("redis_not_checked", reason=str(error))
            return
        if not reasons:
            return
        if self._allow:
            _log.warning("redis_unsafe", reasons=reasons)
            return
        valid = (
            f"must keep accepted tickets, but it {'; it '.join(reasons)}. VQC_REDIS_UNSAFE=allow starts with it anyway"
        )
        raise InvalidValue("VQC_REDIS_URL", f"a server of version {_version(info)}", valid)

    async def problems(self) -> list[str]:
        """Why the server can lose tickets; empty when it cannot, and with ``allow``. Raises ``QueueUnavailable``."""
        if self._allow:
            return []
        with answering():
            return [f"Redis can lose tickets: it {reason}" for reason in await self._reasons(await self._info())]

    async def _info(self) -> Mapping[str, Any]:
        return cast("Mapping[str, Any]", await self._redis.info("server", "memory", "persistence"))

    async def _reasons(self, info: Mapping[str, Any]) -> list[str]:
        appendfsync = None
        if info.get("aof_enabled"):
            with suppress(QueueUnavailable), answering():  # hosted servers allow no CONFIG
                appendfsync = (await self._redis.config_get("appendfsync")).get("appendfsync")
        return reasons_of(info, appendfsync)


def reasons_of(info: Mapping[str, Any], appendfsync: str | None) -> list[str]:
    """Why a server with this ``INFO`` can lose tickets, each a sentence about "it".

    >>> reasons_of({"redis_version": "7.2.4", "aof_enabled": 1, "maxmemory_policy": "noeviction", "maxmemory": 0}, "always")
    []
    >>> reasons_of({"redis_version": "6.2.0", "aof_enabled": 1, "maxmemory_policy": "noeviction", "maxmemory": 0}, None)
    ['is version 6.2.0, and 7.0 or later is required']
    """
    reasons = []
    version, policy, memory = _version(info), info.get("maxmemory_policy"), int(info.get("maxmemory", 0))
    if tuple(int(part) if part.isdecimal() else 0 for part in version.split(".")[:2]) < _OLDEST:
        reasons.append(f"is version {version}, and {_OLDEST[0]}.{_OLDEST[1]} or later is required")
    if policy != "noeviction":
        reasons.append(f"deletes keys when its memory is full (maxmemory-policy {policy}; noeviction is required)")
    if not info.get("aof_enabled"):
        reasons.append("writes no append-only file (appendonly no), so a restart loses what it has accepted")
    if appendfsync == "no":
        reasons.append("leaves its append-only file to the operating system (appendfsync no)")
    if 0 < memory < _LEAST_MEMORY:
        reasons.append(
            f"may use {memory / 2**20:.1f} MiB of memory (maxmemory), and {_LEAST_MEMORY >> 20} MiB are required"
        )
    return reasons


def _version(info: Mapping[str, Any]) -> str:
    return str(info.get("redis_version", "unknown"))
