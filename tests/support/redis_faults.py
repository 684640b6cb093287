"""States in which a real Redis refuses, each entered by a command and left again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from service.platform.redis_client import connect

Fault = Callable[[str, Redis], AbstractAsyncContextManager[None]]
"""A state of the server at a URL; the connection is an administrator's."""


@asynccontextmanager
async def config(admin: Redis, **values: str) -> AsyncGenerator[None, None]:
    names = {name: name.replace("_", "-") for name in values}
    before = {name: (await admin.config_get(own))[own] for name, own in names.items()}
    for name, value in values.items():
        await admin.config_set(names[name], value)
    try:
        yield
    finally:
        for name, value in before.items():
            await admin.config_set(names[name], value)


@asynccontextmanager
async def too_few_replicas(url: str, admin: Redis) -> AsyncGenerator[None, None]:
    async with config(admin, min_replicas_to_write="1"):
        yield


@asynccontextmanager
async def out_of_memory(url: str, admin: Redis) -> AsyncGenerator[None, None]:
    async with config(admin, maxmemory="1"):
        yield


@asynccontextmanager
async def full_disk(url: str, admin: Redis) -> AsyncGenerator[None, None]:
    """A snapshot that cannot be written; an append-only file with ``everysec`` on a full disk is answered alike."""
    where = await admin.config_get("dir", "dbfilename")
    in_the_way = Path(where["dir"], where["dbfilename"], "not empty")
    in_the_way.mkdir(parents=True)  # noqa: ASYNC240
    async with config(admin, save="3600 1"):
        await _save(admin, "err")
        try:
            yield
        finally:
            in_the_way.rmdir()  # noqa: ASYNC240
            in_the_way.parent.rmdir()
            await _save(admin, "ok")


async def _save(admin: Redis, status: str) -> None:
    await admin.bgsave()
    async with asyncio.timeout(60):
        while (await admin.info("persistence"))["rdb_last_bgsave_status"] != status:
            await asyncio.sleep(0.005)


@asynccontextmanager
async def replica(url: str, admin: Redis) -> AsyncGenerator[None, None]:
    await admin.replicaof("127.0.0.1", "1")
    try:
        yield
    finally:
        await admin.replicaof("NO", "ONE")


@asynccontextmanager
async def replica_without_primary(url: str, admin: Redis) -> AsyncGenerator[None, None]:
    async with config(admin, replica_serve_stale_data="no"), replica(url, admin):
        yield


@asynccontextmanager
async def blocked_by_a_script(url: str, admin: Redis) -> AsyncGenerator[None, None]:
    async with config(admin, busy_reply_threshold="1"), connect(url, timeout_s=120) as other:
        script = asyncio.ensure_future(other.eval("while true do end", 0))
        await _until_busy(admin)
        try:
            yield
        finally:
            await admin.execute_command("SCRIPT KILL")
            with pytest.raises(RedisError):
                await script


async def _until_busy(admin: Redis) -> None:
    try:
        async with asyncio.timeout(60):
            while True:
                await admin.ping()
                await asyncio.sleep(0)
    except RedisError:
        return


@asynccontextmanager
async def paused(url: str, admin: Redis) -> AsyncGenerator[None, None]:
    """Writes get no answer, as during a failover."""
    await admin.execute_command("CLIENT", "PAUSE", "600000", "WRITE")
    try:
        yield
    finally:
        await admin.execute_command("CLIENT", "UNPAUSE")


def user_without(*rules: str) -> Fault:
    """The service's user lacks a permission."""

    @asynccontextmanager
    async def lacking(url: str, admin: Redis) -> AsyncGenerator[None, None]:
        everything = ("on", "nopass", "~*", "&*", "+@all")
        await admin.execute_command("ACL", "SETUSER", "admin", *everything)
        async with connect(f"{url}?username=admin&password=any") as other:
            await other.execute_command("ACL", "SETUSER", "default", *rules)
            try:
                yield
            finally:
                await other.execute_command("ACL", "SETUSER", "default", "reset", *everything)

    return lacking


FAULTS: dict[str, Fault] = {
    "NOREPLICAS": too_few_replicas,
    "OOM": out_of_memory,
    "MISCONF": full_disk,
    "READONLY": replica,
    "MASTERDOWN": replica_without_primary,
    "BUSY": blocked_by_a_script,
    "NOPERM command": user_without("-xadd"),
    "NOPERM tickets": user_without("resetkeys", "~vqc-stage-b:*"),
    "NOPERM queue": user_without("resetkeys", "~vqc:*"),
    "NOPERM channel": user_without("resetchannels"),
    "NOPERM scripts": user_without("-evalsha", "-eval"),
}
"""By the code of the answer, and what is special about it."""
