"""Answers given before, in Redis: what one process has had answered, all of them find.

Keys: ``vqc:answers:<key>`` (the answer as JSON, with a time to live) and ``vqc:answers`` (the keys by when they were put,
so that the oldest go when there are too many). Captions must not wait for Redis: its connections have little patience.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

from pydantic import TypeAdapter
from redis.asyncio import Redis
from redis.exceptions import RedisError

from service.models.answer_cache import KeptAnswer
from service.platform.errors import QueueUnavailable

PATIENCE_S = 0.25
"""Longest that a request waits for Redis: give it to ``connect``."""
_INDEX = "vqc:answers"
_RECORD = TypeAdapter(KeptAnswer)

_PUT = """
local time = redis.call('TIME')
local now, ttl = time[1] + time[2] / 1000000, tonumber(ARGV[3])
redis.call('SET', KEYS[1] .. ':' .. ARGV[1], ARGV[2], 'PX', math.ceil(ttl * 1000))
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ttl)
local over = redis.call('ZCARD', KEYS[1]) - ARGV[4]
if over > 0 then
  local oldest = redis.call('ZPOPMIN', KEYS[1], over)
  for i = 1, #oldest, 2 do redis.call('DEL', KEYS[1] .. ':' .. oldest[i]) end
end
"""


class RedisAnswers:
    """Keeps each answer for ``keep_s``, the newest ``most`` of them."""

    def __init__(self, redis: Redis, *, keep_s: float, most: int) -> None:
        self._redis = redis
        self._put = redis.register_script(_PUT)
        self._keep_s = keep_s
        self._most = most

    async def get(self, key: str) -> KeptAnswer | None:
        """See ``AnswerStore``."""
        with _answering():
            record = cast(str | None, await self._redis.get(f"{_INDEX}:{key}"))
        return _RECORD.validate_json(record) if record else None

    async def put(self, key: str, answer: KeptAnswer) -> None:
        """See ``AnswerStore``."""
        with _answering():
            record = _RECORD.dump_json(answer).decode()
            await self._put(keys=[_INDEX], args=[key, record, self._keep_s, self._most])


@contextmanager
def _answering() -> Iterator[None]:
    """Whatever a server says instead of an answer, a full disk's refusal too, as ``QueueUnavailable``."""
    try:
        yield
    except (RedisError, OSError) as error:
        raise QueueUnavailable(str(error) or type(error).__name__) from error
