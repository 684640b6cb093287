"""The behaviour of every store of webhook deliveries."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from service.platform.errors import UnknownDelivery
from service.platform.redis_client import connect
from service.platform.redis_server import embedded_redis
from service.tickets.deliveries import Delivery, DeliveryState, DeliveryStore, MemoryDeliveries
from service.tickets.redis_deliveries import RedisDeliveries
from service.tickets.ticket import id_at

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)


def delivery(n: int, state: DeliveryState = DeliveryState.FAILED) -> Delivery:
    ticket = id_at(NOW + timedelta(seconds=n), "ab")
    return Delivery(id=f"{ticket}.1", ticket=ticket, host="a.example", state=state, attempts=n, at=NOW, problem="500")


class DeliveryStoreSuite:
    """A subclass makes the store by its fixture ``store``."""

    async def test_deliveries_are_found_by_id_and_state_newest_first(self, store: DeliveryStore):
        saved = [delivery(n, DeliveryState.DELIVERED if n % 2 else DeliveryState.FAILED) for n in range(5)]
        for one in saved:
            await store.save(one)
        assert await store.get(saved[3].id) == saved[3]
        first = await store.page(None, after=None, limit=3)
        rest = await store.page(None, after=first.after, limit=3)
        assert [*first.deliveries, *rest.deliveries] == saved[::-1]
        assert rest.after is None
        failed = await store.page(DeliveryState.FAILED, after=None, limit=9)
        assert failed.deliveries == (saved[4], saved[2], saved[0])
        with pytest.raises(UnknownDelivery):
            await store.get("00.1")

    async def test_a_delivery_moves_to_its_new_state(self, store: DeliveryStore):
        await store.save(delivery(1))
        later = replace(delivery(1), state=DeliveryState.DELIVERED, attempts=2, problem="")
        await store.save(later)
        assert (await store.page(DeliveryState.FAILED, after=None, limit=9)).deliveries == ()
        assert (await store.page(DeliveryState.DELIVERED, after=None, limit=9)).deliveries == (later,)
        assert (await store.page(None, after=None, limit=9)).deliveries == (later,)


class TestMemoryDeliveries(DeliveryStoreSuite):
    @pytest.fixture
    def store(self) -> DeliveryStore:
        return MemoryDeliveries()


class TestRedisDeliveries(DeliveryStoreSuite):
    @pytest.fixture
    async def redis(self, tmp_path):
        async with embedded_redis(tmp_path / "redis") as url, connect(url) as redis:
            yield redis

    @pytest.fixture
    def store(self, redis) -> DeliveryStore:
        return RedisDeliveries(redis, keep=timedelta(days=1), clock=lambda: NOW)

    async def test_what_has_expired_leaves_the_indices(self, redis):
        store = RedisDeliveries(redis, keep=timedelta(days=1), clock=lambda: NOW + timedelta(days=2))
        await RedisDeliveries(redis, keep=timedelta(days=1), clock=lambda: NOW).save(delivery(1))
        await redis.delete(f"vqc:webhook:{delivery(1).id}")  # as its expiry does
        assert (await store.page(None, after=None, limit=9)).deliveries == ()
        await store.save(delivery(3 * 86400))
        assert await redis.zcard("vqc:webhooks:all") == 1
        assert await redis.zcard("vqc:webhooks:failed") == 1
