"""Many follow tickets at once: nothing that they take of Redis grows with them."""

import asyncio
from contextlib import closing

import pytest

from loadtest.http.connection import Pool
from loadtest.http.requests import Target
from service.platform.redis_client import CONNECTIONS, connect
from service.platform.redis_server import embedded_redis
from tests.support.redis_servers import SERVERS, binary_of
from tests.support.service_processes import service, ticket

MANY = 300


@pytest.mark.parametrize("server", SERVERS)
async def test_three_hundred_submit_and_follow_over_a_handful_of_connections(tmp_path, server):
    """No worker is there, so all of them follow when the connections are counted; then every ticket is cancelled at once."""
    everybody_follows, counted = asyncio.Barrier(MANY + 1), asyncio.Event()

    async def one(target: Target, pool: Pool, n: int) -> None:
        submitted = await pool.exchange(target.post_json("/stage-b/groups", ticket(n)))
        assert submitted.status == 202, submitted.body
        location = submitted.headers["location"]
        reader, writer = await asyncio.open_connection(target.host, target.port)
        writer.write(target.head("GET", f"{location}/events"))
        await reader.readuntil(b"event: accepted")
        await everybody_follows.wait()
        await counted.wait()
        cancelled = await pool.exchange(target.head("DELETE", location))
        assert cancelled.status == 200, cancelled.body
        await reader.readuntil(b"event: finished")
        writer.close()
        await writer.wait_closed()

    async with (
        embedded_redis(tmp_path / "redis", binary_of(server)) as url,
        service(tmp_path, "api", VQC_REDIS_URL=url, VQC_MAX_IN_FLIGHT=str(MANY)) as (client, _),
        connect(url) as redis,
    ):
        target = Target.from_url(str(client.base_url))
        before = len(await redis.client_list())
        with closing(Pool(target)) as pool:
            async with asyncio.timeout(120), asyncio.TaskGroup() as group:
                for n in range(MANY):
                    group.create_task(one(target, pool, n))
                await everybody_follows.wait()
                connections = len(await redis.client_list()) - before
                counted.set()
        assert connections <= 2 * CONNECTIONS  # of the records and of the queue
