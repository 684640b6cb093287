"""The behaviour of every store of console sessions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from service.console.redis_sessions import RedisSessions
from service.console.session_store import MemorySessions, SessionRecord, SessionStore
from service.platform.errors import QueueUnavailable
from service.platform.redis_client import connect
from service.platform.redis_server import embedded_redis

RECORD = SessionRecord(key_id="1a2b3c4d", digest="d" * 64)
HOUR = timedelta(hours=1)


class SessionStoreSuite:
    """A subclass makes the store by its fixture ``store``."""

    async def test_a_record_is_found_until_it_is_deleted(self, store: SessionStore):
        assert await store.get("s.a", renew=HOUR) is None
        await store.save("s.a", RECORD, HOUR)
        assert await store.get("s.a", renew=HOUR) == RECORD == await store.get("s.a", renew=None)
        await store.delete("s.a")
        await store.delete("s.b")
        assert await store.get("s.a", renew=HOUR) is None

    async def test_a_record_ends_when_it_is_idle_and_only_renewal_delays_that(self, store: SessionStore):
        await store.save("s.a", RECORD, timedelta(seconds=0.05))
        await store.save("s.b", RECORD, timedelta(seconds=0.05))
        await store.get("s.b", renew=HOUR)
        async with asyncio.timeout(120):
            while await store.get("s.a", renew=None):
                await asyncio.sleep(0.01)
        assert await store.get("s.b", renew=None) == RECORD


class TestMemorySessions(SessionStoreSuite):
    @pytest.fixture
    def store(self) -> SessionStore:
        return MemorySessions()


class TestRedisSessions(SessionStoreSuite):
    @pytest.fixture
    async def redis(self, tmp_path) -> AsyncIterator:
        async with embedded_redis(tmp_path / "redis") as url, connect(url) as redis:
            yield redis

    @pytest.fixture
    def store(self, redis) -> SessionStore:
        return RedisSessions(redis)

    async def test_another_process_sees_the_end_and_no_id_is_stored(self, redis):
        one, two = RedisSessions(redis), RedisSessions(redis)
        await one.save("s.secret", RECORD, HOUR)
        assert await two.get("s.secret", renew=HOUR) == RECORD
        assert "secret" not in "".join(await redis.keys("*"))
        await two.delete("s.secret")
        assert await one.get("s.secret", renew=HOUR) is None

    async def test_an_unreachable_server_is_reported(self, tmp_path):
        async with connect(f"unix://{tmp_path}/none.sock") as redis:
            with pytest.raises(QueueUnavailable):
                await RedisSessions(redis).get("s.a", renew=HOUR)
