"""Rate limit and daily quota per key: counted for each key, in every process, also while Redis is away."""

from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from engine.scripted import ScriptedEngine
from service.platform.errors import QuotaSpent, RateLimited
from service.platform.redis_client import answering
from service.platform.redis_server import embedded_redis
from service.web.auth import Caller, Scope
from service.web.key_file import KeyFile, create_key
from service.web.key_limits import KeyLimits
from service.web.redis_limits import redis_limits
from tests.support import photos
from tests.support.console_site import Clock, Site
from tests.support.service_context import client_of, context_with

PHOTO = {"photo": ("a.jpg", photos.jpeg())}
ONE, TWO = (Caller(key_id=name, scopes=frozenset(Scope)) for name in ("one", "two"))
LIMITED = Caller(key_id="limited", scopes=frozenset(Scope), rate_per_minute=1, quota_per_day=1)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "keys.yaml"


async def test_a_key_over_its_rate_gets_429_and_others_do_not(file):
    slow, fast = create_key(file, [Scope.CAPTION], None, rate_per_minute=2), create_key(file, [Scope.CAPTION], None)
    async with client_of(context_with(ScriptedEngine(), keys=KeyFile(file))) as client:
        answers = [await client.get("/missions", headers={"Authorization": f"Bearer {slow}"}) for _ in range(4)]
        other = [await client.get("/missions", headers={"Authorization": f"Bearer {fast}"}) for _ in range(4)]
        page = (await client.get("/metrics")).text
    assert [answer.status_code for answer in answers] == [200, 200, 429, 429]
    assert {answer.status_code for answer in other} == {200}
    assert answers[2].json()["type"] == "urn:vqc:problem:rate-limited"
    assert 1 <= int(answers[2].headers["retry-after"]) <= 60
    assert 'vqc_http_refused_total{reason="rate_limited"} 2.0' in page


async def test_the_quota_counts_work_only_and_rejects_before_any(file):
    token, engine = create_key(file, [Scope.CAPTION, Scope.STAGE_B], None, quota_per_day=1), ScriptedEngine()
    async with client_of(context_with(engine, keys=KeyFile(file))) as client:
        client.headers["Authorization"] = f"Bearer {token}"
        for _ in range(3):
            assert (await client.get("/missions")).status_code == 200
        first, second = [await client.post("/caption", files=PHOTO) for _ in range(2)]
        ticket = await client.post("/stage-b/groups", json={})
        page = (await client.get("/metrics")).text
    assert (first.status_code, second.status_code, ticket.status_code) == (200, 429, 429)
    assert second.json()["type"] == "urn:vqc:problem:quota-spent"
    assert 1 <= int(second.headers["retry-after"]) <= 86400
    assert len(engine.requests) == 1
    assert 'vqc_http_refused_total{reason="quota_spent"} 2.0' in page


async def test_what_a_person_captions_in_the_console_counts_for_their_key(file):
    token = create_key(file, list(Scope), None, quota_per_day=1)
    site = Site(context_with(ScriptedEngine(), keys=KeyFile(file)), Clock(datetime.now(UTC)), {"all": token}, file)
    async with site.visitor("all") as visitor:
        headers = {"X-CSRF-Token": await visitor.csrf(), "Accept": "application/json"}
        answers = [await visitor.client.post("/console/try/caption", files=PHOTO, headers=headers) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 429]
    assert answers[1].json()["type"] == "urn:vqc:problem:quota-spent"


@asynccontextmanager
async def processes(kind, tmp_path, clock):
    """Two processes that share a storage."""
    given = {"rate_per_minute": 3, "quota_per_day": 3, "clock": clock}
    if kind == "memory":
        one = KeyLimits(**given)
        yield one, one
        return
    async with embedded_redis(tmp_path) as url, redis_limits(url) as first, redis_limits(url) as second:
        yield KeyLimits(first, reporting=answering, **given), KeyLimits(second, reporting=answering, **given)


@pytest.mark.parametrize("kind", ["memory", "redis"])
async def test_processes_count_together_by_key_and_day(tmp_path, kind):
    clock = Clock(datetime(2026, 12, 1, 23, 0, tzinfo=UTC))
    async with processes(kind, tmp_path, clock) as (first, second):
        for limits in (first, second, first):
            await limits.count_work(ONE)
            await limits.count_request(ONE)
        with pytest.raises(QuotaSpent) as spent:
            await second.count_work(ONE)
        assert spent.value.retry_after_s == 3600
        with pytest.raises(RateLimited) as limited:
            await second.count_request(ONE)
        assert 1 <= limited.value.retry_after_s <= 60
        await first.count_work(TWO)
        await first.count_request(TWO)
        await first.count_work(LIMITED)
        with pytest.raises(QuotaSpent):
            await second.count_work(LIMITED)
        clock.moment += timedelta(hours=2)
        await second.count_work(ONE)


async def test_without_a_limit_and_without_keys_nothing_is_counted():
    class Broken:
        def __getattr__(self, name):
            raise AssertionError("must not be asked")

    limits = KeyLimits(Broken(), rate_per_minute=None)
    await limits.count_request(ONE)
    await limits.count_work(ONE)
    await KeyLimits(Broken(), rate_per_minute=1, quota_per_day=1).count_work(Caller(key_id=None, scopes=frozenset()))


async def test_while_redis_is_away_each_process_counts_for_itself(tmp_path):
    clock, asked = Clock(datetime.now(UTC)), 0

    @asynccontextmanager
    async def away():
        async with redis_limits(f"unix://{tmp_path}/none.sock") as storage:
            yield storage

    def reporting():
        nonlocal asked
        asked += 1
        return answering()

    async with away() as storage:
        limits = KeyLimits(storage, rate_per_minute=2, reporting=reporting, clock=clock)
        await limits.count_request(ONE)
        await limits.count_request(ONE)
        with pytest.raises(RateLimited):
            await limits.count_request(ONE)
        assert asked == 1
        clock.moment += timedelta(seconds=6)
        with pytest.raises(RateLimited):
            await limits.count_request(ONE)
        assert asked == 2
