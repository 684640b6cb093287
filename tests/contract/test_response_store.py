"""The behaviour of every response store; the one on Redis runs on both supported servers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from service.models.response_cache import CachedAnswer, ResponseStore
from service.models.response_cache_memory import MemoryResponses
from service.models.response_cache_redis import RedisResponses
from service.platform.errors import QueueUnavailable
from service.platform.redis_client import connect
from service.platform.redis_server import embedded_redis
from tests.support.redis_servers import SERVERS, binary_of


def answer(n: int = 0) -> CachedAnswer:
    return CachedAnswer(text=f"BBU设备×{n + 1}", prompt_tokens=300, completion_tokens=7)


class ResponseStoreSuite:
    """A subclass makes stores by its ``made`` fixture, called with ``keep_s`` and ``most``."""

    async def test_a_stored_answer_is_found_and_no_other(self, made):
        store = made(keep_s=60, most=10)
        assert await store.get("a") is None
        await store.put("a", answer())
        assert await store.get("a") == answer()
        assert await store.get("b") is None

    async def test_the_newest_are_kept(self, made):
        store = made(keep_s=60, most=2)
        for n, key in enumerate("abc"):
            await store.put(key, answer(n))
        await store.put("b", answer(9))
        await store.put("d", answer(3))
        assert [await store.get(key) for key in "abcd"] == [None, answer(9), None, answer(3)]

    async def test_an_answer_expires(self, made):
        store = made(keep_s=0.02, most=10)
        await store.put("a", answer())
        async with asyncio.timeout(120):
            while await store.get("a"):
                await asyncio.sleep(0.01)


class TestMemoryResponses(ResponseStoreSuite):
    @pytest.fixture
    def made(self):
        return MemoryResponses


class TestRedisResponses(ResponseStoreSuite):
    @pytest.fixture(params=SERVERS)
    async def redis(self, request, tmp_path) -> AsyncIterator:
        async with embedded_redis(tmp_path / "redis", binary_of(request.param)) as url, connect(url) as redis:
            yield redis

    @pytest.fixture
    def made(self, redis):
        return lambda **bounds: RedisResponses(redis, **bounds)

    async def test_no_key_outlives_the_answers(self, redis):
        brief, lasting = RedisResponses(redis, keep_s=0.02, most=10), RedisResponses(redis, keep_s=60, most=1)
        await brief.put("a", answer())
        async with asyncio.timeout(120):
            while await brief.get("a"):
                await asyncio.sleep(0.01)
        await brief.put("b", answer())
        assert await redis.zrange("vqc:answers", 0, -1) == ["b"]
        await lasting.put("c", answer())
        assert set(await redis.keys("*")) == {"vqc:answers:c", "vqc:answers"}

    async def test_an_error_of_the_server_is_raised(self, redis):
        await redis.set("vqc:answers", "something else")
        with pytest.raises(QueueUnavailable, match="WRONGTYPE"):
            await RedisResponses(redis, keep_s=60, most=10).put("a", answer())


async def test_an_unreachable_server_is_raised(tmp_path):
    async with connect(f"unix://{tmp_path}/none.sock", timeout_s=0.1) as redis:
        store: ResponseStore = RedisResponses(redis, keep_s=60, most=10)
        with pytest.raises(QueueUnavailable):
            await store.get("a")
        with pytest.raises(QueueUnavailable):
            await store.put("a", answer())
