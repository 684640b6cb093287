"""The response store in Redis, which all processes share.

Keys: ``vqc:answers:<key>`` (the answer as JSON, with a time to live) and ``vqc:answers`` (a sorted set of the keys by the time
they were stored, from which the oldest are dropped). A caption must not wait for Redis: its connections time out quickly.
"""

from __future__ import annotations

from typing import cast

from pydantic import TypeAdapter
from redis.asyncio import Redis
from typing_extensions import override

from service.models.response_cache import CachedAnswer, ResponseStore
from service.platform.redis_client import answering

TIMEOUT_S = 0.25
"""The longest that a request waits for Redis; pass it to ``connect``."""
_INDEX = "vqc:answers"
_RECORD = TypeAdapter(CachedAnswer)

_PUT = """
-- The server's clock: those of the processes that share the cache may differ.
local time = redis.call('TIME')
local now, ttl = time[1] + time[2] / 1000000, tonumber(ARGV[3])
redis.call('SET', KEYS[1] .. ':' .. ARGV[1], ARGV[2], 'PX', math.ceil(ttl * 1000))
redis.call('ZADD', KEYS[1], now, ARGV[1])
-- Expired answers are gone, but their entries in the index are not: they would count towards the limit.
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ttl)
local over = redis.call('ZCARD', KEYS[1]) - ARGV[4]
if over > 0 then
  local oldest = redis.call('ZPOPMIN', KEYS[1], over)
  for i = 1, #oldest, 2 do redis.call('DEL', KEYS[1] .. ':' .. oldest[i]) end
end
"""


class RedisResponses(ResponseStore):
    """Keeps each answer for ``keep_s``, the newest ``most`` of them."""

    def __init__(self, redis: Redis, *, keep_s: float, most: int) -> None:
        self._redis = redis
        self._put = redis.register_script(_PUT)
        self._keep_s = keep_s
        self._most = most

    @override
    async def get(self, key: str) -> CachedAnswer | None:
        with answering():
            record = cast(str | None, await self._redis.get(f"{_INDEX}:{key}"))
        try:
            return _RECORD.validate_json(record) if record else None
        except ValueError:  # another version's, or damaged: generated again and replaced
            return None

    @override
    async def put(self, key: str, answer: CachedAnswer) -> None:
        with answering():
            record = _RECORD.dump_json(answer).decode()
            await self._put(keys=[_INDEX], args=[key, record, self._keep_s, self._most])
