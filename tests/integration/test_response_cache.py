"""Processes that share a Redis share the response cache; without Redis requests go to the engine."""

from __future__ import annotations

from tests.support import photos
from tests.support.service_processes import service

CACHING = {"VQC_ANSWER_CACHE_H": "1", "VQC_STAGE_B": "off"}


async def cached(client) -> bool:
    answer = await client.post("/caption", files={"photo": ("a.jpg", photos.jpeg((320, 248)))})
    assert answer.status_code == 200, answer.text
    return answer.json()["cached"]


async def test_two_processes_share_the_cache(tmp_path):
    async with (
        service(tmp_path, "api", **CACHING) as (one, _),
        service(tmp_path, "api", **CACHING) as (other, _),
    ):
        assert not await cached(one)
        assert await cached(other)
        assert await cached(one)


async def test_without_redis_requests_go_to_the_engine(tmp_path):
    nowhere = {"VQC_REDIS_URL": f"unix://{tmp_path}/none.sock"}
    async with service(tmp_path, "api", **CACHING, **nowhere) as (client, _):
        assert not await cached(client)
        assert not await cached(client)
        page = (await client.get("/metrics")).text
        assert 'vqc_answer_cache_lookups_total{outcome="unavailable"} 2.0' in page
