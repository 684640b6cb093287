"""A Redis that can lose accepted tickets: refused at the start, not ready when it becomes so, allowed by a setting."""

import pytest
import pytest_asyncio
from prometheus_client import CollectorRegistry

from service.platform.settings import Settings
from service.tickets.wiring import ticket_parts
from tests.support.redis_faults import config
from tests.support.redis_servers import SERVERS
from tests.support.stage_b_redis import spoilt_redis
from vqc.errors import InvalidValue

pytestmark = pytest.mark.asyncio(loop_scope="module")
UNSAFE = {
    "allkeys-lru": ({"maxmemory_policy": "allkeys-lru"}, "deletes keys .*maxmemory-policy allkeys-lru"),
    "volatile-ttl": ({"maxmemory_policy": "volatile-ttl"}, "deletes keys .*maxmemory-policy volatile-ttl"),
    "no file": ({"appendonly": "no"}, "writes no append-only file"),
    "no fsync": ({"appendfsync": "no"}, "appendfsync no"),
    "little memory": ({"maxmemory": "33554432"}, "may use 32.0 MiB"),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=SERVERS)
async def bench(request, tmp_path_factory):
    async with spoilt_redis(tmp_path_factory.mktemp(request.param), request.param) as opened:
        yield opened


@pytest.mark.parametrize("what", UNSAFE)
async def test_a_server_that_can_lose_tickets_is_refused_unless_it_is_allowed(bench, tmp_path, what):
    values, reason = UNSAFE[what]
    settings = Settings(redis_url=bench.url, state_dir=tmp_path, engine="scripted")
    async with config(bench.admin, **values):
        with pytest.raises(InvalidValue, match=f"VQC_REDIS_URL.*{reason}.*VQC_REDIS_UNSAFE=allow"):
            async with ticket_parts(settings, CollectorRegistry()):
                pass
        async with ticket_parts(settings.model_copy(update={"redis_unsafe": "allow"}), CollectorRegistry()) as parts:
            assert await parts.safety.problems() == []
        (problem,) = await bench.services.find_problems()  # of the service that started before
        assert problem.startswith("Redis can lose tickets: it ")
        await bench.services.update_metrics()
        assert gauge(bench) == 1
    assert await bench.services.find_problems() == []
    await bench.services.update_metrics()
    assert gauge(bench) == 0


async def test_a_server_that_cannot_be_reached_yet_is_checked_later(tmp_path):
    settings = Settings(redis_url=f"unix://{tmp_path / 'none.sock'}", state_dir=tmp_path, engine="scripted")
    async with ticket_parts(settings, CollectorRegistry()) as parts:
        assert parts.safety


def gauge(bench) -> float | None:
    return bench.parts.metrics._unsafe._value.get()
