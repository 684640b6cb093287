"""A reading that many pages poll."""

import asyncio

import pytest

from service.console.recent import Recent
from service.platform.errors import QueueUnavailable


async def test_many_who_ask_at_once_share_one_reading():
    readings = 0

    async def read() -> int:
        nonlocal readings
        readings += 1
        await asyncio.sleep(0)
        return readings

    recent: Recent[int] = Recent(keep_s=60)
    given_up = asyncio.ensure_future(recent.get(read))
    asked = [asyncio.ensure_future(recent.get(read)) for _ in range(100)]
    await asyncio.sleep(0)
    given_up.cancel()
    assert set(await asyncio.gather(*asked)) == {1}
    fresh: Recent[int] = Recent(keep_s=0)
    assert [await fresh.get(read), await fresh.get(read)] == [2, 3]


async def test_an_outage_is_shared_too():
    async def read() -> int:
        raise QueueUnavailable("gone")

    recent: Recent[int] = Recent(keep_s=60)
    for _ in range(2):
        with pytest.raises(QueueUnavailable):
            await recent.get(read)
