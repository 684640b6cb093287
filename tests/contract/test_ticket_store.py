"""Both stores of ticket records do what every store does; the one on Redis on both servers that are supported."""

import pytest

from service.platform.redis_client import connect
from service.platform.redis_server import embedded_redis
from service.tickets.memory_store import MemoryTicketStore
from service.tickets.redis_store import redis_ticket_store
from tests.support.redis_servers import SERVERS, binary_of
from tests.support.ticket_store_suite import TicketStoreSuite


class TestMemoryTicketStore(TicketStoreSuite):
    @pytest.fixture
    def store(self):
        return MemoryTicketStore()


class TestRedisTicketStore(TicketStoreSuite):
    @pytest.fixture(params=SERVERS)
    async def store(self, request, tmp_path):
        async with (
            embedded_redis(tmp_path / "redis", binary_of(request.param)) as url,
            connect(url) as redis,
            redis_ticket_store(redis) as store,
        ):
            yield store
