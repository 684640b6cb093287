"""The faults. Each lasts for a while and is over when its function returns."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

from redis.exceptions import RedisError

from loadtest.chaos.stack import LEASE_S, Stack

Fault = Callable[[Stack, random.Random], Awaitable[None]]
_STREAM = "vqc-stage-b:stream"


async def kill_worker(stack: Stack, draw: random.Random) -> None:
    """A worker dies."""
    draw.choice(stack.workers).send(signal.SIGKILL)


async def stop_worker(stack: Stack, draw: random.Random) -> None:
    """For longer than a lease, so that another worker takes its tickets, and it comes back."""
    worker = draw.choice(stack.workers)
    worker.send(signal.SIGSTOP)
    await asyncio.sleep(draw.uniform(0.5, 3) * LEASE_S)
    worker.send(signal.SIGCONT)


async def drain_worker(stack: Stack, draw: random.Random) -> None:
    """A worker is asked to leave."""
    draw.choice(stack.workers).send(signal.SIGTERM)


async def kill_api(stack: Stack, draw: random.Random) -> None:
    """The API dies."""
    stack.api.send(signal.SIGKILL)


async def kill_redis(stack: Stack, draw: random.Random) -> None:
    """Redis dies and loads its file."""
    stack.redis.send(signal.SIGKILL)


async def stop_redis(stack: Stack, draw: random.Random) -> None:
    """Redis is connected and does not answer."""
    stack.redis.send(signal.SIGSTOP)
    await asyncio.sleep(draw.uniform(0.5, 8))
    stack.redis.send(signal.SIGCONT)


async def cut_connections(stack: Stack, draw: random.Random) -> None:
    """Every connection to Redis is cut."""
    stack.proxy.cut()


async def lose_answers(stack: Stack, draw: random.Random) -> None:
    """Redis does what it is asked, and its answers are lost."""
    stack.proxy.loses_answers = True
    await asyncio.sleep(draw.uniform(0.1, 1.5))
    stack.proxy.loses_answers = False


async def refuse(stack: Stack, draw: random.Random) -> None:
    """Too few replicas, no memory, or a replica."""
    name, value = draw.choice((("min-replicas-to-write", "1"), ("maxmemory", "1"), ("replicaof", "127.0.0.1 1")))
    before = {"min-replicas-to-write": "0", "maxmemory": "0", "replicaof": "no one"}[name]
    await _set(stack, name, value)
    await asyncio.sleep(draw.uniform(0.5, 4))
    await _set(stack, name, before)


async def fill_disk_of_redis(stack: Stack, draw: random.Random) -> None:
    """A snapshot that cannot be written, after which Redis refuses every write."""
    in_the_way = Path(stack.folder, "redis", "dump.rdb", "x")
    await asyncio.to_thread(in_the_way.mkdir, parents=True, exist_ok=True)
    with suppress(RedisError, OSError):
        await stack.admin.config_set("save", "3600 1")
        await stack.admin.bgsave()
    await asyncio.sleep(draw.uniform(0.5, 4))
    with suppress(OSError):  # another one may have ended it
        await asyncio.to_thread(in_the_way.rmdir)
        await asyncio.to_thread(in_the_way.parent.rmdir)
    with suppress(RedisError, OSError):
        await stack.admin.config_set("save", "")


async def fill_disk_of_photos(stack: Stack, draw: random.Random) -> None:
    """The API can write no file."""
    stack.api.limit_files(0)
    await asyncio.sleep(draw.uniform(0.5, 4))
    stack.api.limit_files(None)


async def lose_stream(stack: Stack, draw: random.Random) -> None:
    """The stream of the queue is deleted."""
    with suppress(RedisError, OSError):
        await stack.admin.delete(_STREAM)


async def lose_entry(stack: Stack, draw: random.Random) -> None:
    """The newest entries of the queue are deleted, read or not."""
    with suppress(RedisError, OSError):
        for id, _ in await stack.admin.xrevrange(_STREAM, count=5) or ():
            await stack.admin.xdel(_STREAM, str(id))


async def lose_group(stack: Stack, draw: random.Random) -> None:
    """The consumer group is deleted, or moved to the end."""
    with suppress(RedisError, OSError):
        if draw.random() < 0.5:
            await stack.admin.xgroup_destroy(_STREAM, "docket-workers")
        else:
            await stack.admin.xgroup_setid(_STREAM, "docket-workers", "$")


async def lose_index(stack: Stack, draw: random.Random) -> None:
    """An index of the records is deleted."""
    with suppress(RedisError, OSError):
        await stack.admin.delete(draw.choice(("vqc:groups:queued", "vqc:groups:running", "vqc:groups:active")))


async def add_nonsense(stack: Stack, draw: random.Random) -> None:
    """Another program writes to the queue."""
    with suppress(RedisError, OSError):
        await stack.admin.xadd(_STREAM, {"hello": "world"})
        await stack.admin.zadd("vqc-stage-b:queue", {"hello": 1})


async def set_clock(stack: Stack, draw: random.Random) -> None:
    """The clock of Redis is set back, right or ahead."""
    stack.set_clock(draw.choice((-1, 0, 1)))


FAULTS: dict[str, Fault] = {
    "worker killed": kill_worker,
    "worker stopped": stop_worker,
    "worker drained": drain_worker,
    "API killed": kill_api,
    "Redis killed": kill_redis,
    "Redis stopped": stop_redis,
    "connections cut": cut_connections,
    "answers lost": lose_answers,
    "Redis refuses": refuse,
    "disk of Redis full": fill_disk_of_redis,
    "disk of photos full": fill_disk_of_photos,
    "stream lost": lose_stream,
    "entries lost": lose_entry,
    "group lost": lose_group,
    "index lost": lose_index,
    "nonsense queued": add_nonsense,
    "clock of Redis set": set_clock,
}
"""By what the table calls them."""


async def heal(stack: Stack) -> None:
    """Ends what a fault may have left behind; entries and indices that are lost stay lost."""
    stack.proxy.loses_answers = False
    stack.api.limit_files(None)
    for one in (stack.redis, stack.api, *stack.workers):
        one.send(signal.SIGCONT)
    for name, value in (("replicaof", "no one"), ("min-replicas-to-write", "0"), ("maxmemory", "0"), ("save", "")):
        await _set(stack, name, value)


async def _set(stack: Stack, name: str, value: str) -> None:
    """Sets it, also while Redis is started again."""
    for _ in range(300):
        try:
            if name == "replicaof":
                await stack.admin.execute_command("REPLICAOF", *value.split())
            else:
                await stack.admin.config_set(name, value)
            return
        except (RedisError, OSError):
            await asyncio.sleep(0.1)
