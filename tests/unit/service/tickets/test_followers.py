"""Many followers of tickets on one Redis: what they cost, and that none misses an event that was announced to no one."""

import asyncio
import json

import pytest

from service.platform.redis_client import connect
from service.platform.redis_server import embedded_redis
from service.tickets.events import event_pages
from service.tickets.redis_store import redis_ticket_store
from tests.support.ticket_store_suite import ACCEPTED, START, ticket, with_event


@pytest.fixture
async def redis(tmp_path):
    async with embedded_redis(tmp_path / "redis") as url, connect(url) as redis:
        yield redis


async def reads(redis) -> int:
    stats = await redis.info("commandstats")
    return sum(stats.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in ("xread", "hmget"))


async def names(pages) -> list[str]:
    return [page.split(b"event: ")[1].split(b"\n")[0].decode() async for page in pages]


async def test_followers_read_once_for_all_and_nothing_while_nothing_happens(redis):
    async with redis_ticket_store(redis) as store:
        new = await store.create(ticket(), ACCEPTED, None)
        following = [asyncio.create_task(names(await event_pages(store, new.id, None))) for _ in range(200)]
        await asyncio.sleep(0.2)
        before = await reads(redis)
        await asyncio.sleep(1.2)  # a follower used to read three times a second
        assert await reads(redis) - before <= 1
        await store.update(new.id, with_event(lambda record: record.cancel(START), "finished"))
        assert await asyncio.gather(*following) == [["accepted", "finished"]] * 200
        assert await reads(redis) - before < 300  # one record each, at the end


async def test_an_event_that_was_announced_to_no_one_is_found(redis):
    async with redis_ticket_store(redis) as store:
        store.notifier._sweep_s = 0.1
        new = await store.create(ticket(), ACCEPTED, None)
        (accepted,) = await store.events(new.id, None)
        waiting = [asyncio.create_task(store.events(new.id, accepted.id, wait_s=None)) for _ in range(3)]
        behind = asyncio.create_task(store.events(new.id, "9999999999999-0", wait_s=None))
        await asyncio.sleep(0.05)
        await redis.xadd(f"vqc:group:{new.id}:events", {"name": "silent", "data": json.dumps({})})
        for found in await asyncio.wait_for(asyncio.gather(*waiting), 30):
            assert [event.name for event in found] == ["silent"]
        assert not behind.done()
        behind.cancel()


async def test_a_follower_outlasts_lost_connections(redis):
    async with redis_ticket_store(redis) as store:
        new = await store.create(ticket(), ACCEPTED, None)
        following = asyncio.create_task(names(await event_pages(store, new.id, None)))
        await asyncio.sleep(0.1)
        await redis.client_kill_filter(_type="pubsub")
        await redis.xadd(f"vqc:group:{new.id}:events", {"name": "silent", "data": json.dumps({})})
        await redis.client_kill_filter(_type="normal", skipme=True)
        await store.update(new.id, with_event(lambda record: record.cancel(START), "finished"))
        assert await asyncio.wait_for(following, 30) == ["accepted", "silent", "finished"]
