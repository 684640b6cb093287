"""The job queue: ``pydocket`` on Redis streams. A job's payload is its id, nothing else.

A job is never taken off the stream before a worker has had it, because that would make the group's lag unknown, which
KEDA scales on: a cancelled group is found cancelled by the worker that gets its job.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta

from docket import Docket
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from service.platform.redis_client import CONNECTIONS, answering
from service.tickets.ports import JUDGE, NOTIFY, QueueDepth

NAME = "vqc-stage-b"
"""The queue's name: its stream is ``vqc-stage-b:stream``, its consumer group ``docket-workers``."""
_KEEP_RUNS = timedelta(minutes=5)


async def _elsewhere(job_id: str) -> None:
    raise AssertionError(f"job {job_id} belongs to a worker")


@asynccontextmanager
async def docket(url: str, name: str = NAME, *, jobs: int = 16) -> AsyncGenerator[Docket, None]:
    """The queue on the Redis behind ``url``, able to add jobs; a worker registers what runs them, ``jobs`` at once.

    A job uses one connection at a time, and one that found none would fail: there is one for each, beside those of adding
    and of the worker itself.
    """
    room = f"{url}{'&' if '?' in url else '?'}max_connections={jobs + 2 * CONNECTIONS}"
    async with Docket(name=name, url=room, execution_ttl=_KEEP_RUNS) as opened:
        opened.register(_elsewhere, names=[JUDGE, NOTIFY])
        yield opened


class DocketQueue:
    """The ``JobQueue`` on a docket."""

    def __init__(self, docket: Docket, redis: Redis) -> None:
        self._docket = docket
        self._redis = redis
        self._adding = asyncio.Semaphore(CONNECTIONS)  # docket's connections do not wait for each other

    async def judge(self, job_id: str) -> None:
        """See ``JobQueue``."""
        await self._add(JUDGE, job_id)

    async def notify(self, job_id: str) -> None:
        """See ``JobQueue``."""
        await self._add(NOTIFY, job_id)

    async def depth(self) -> QueueDepth:
        """See ``JobQueue``."""
        with answering():
            async with self._redis.pipeline(transaction=True) as one:  # a job that moves in between would be in neither
                one.xinfo_groups(self._docket.stream_key)
                one.zcard(self._docket.queue_key)
                one.xlen(self._docket.stream_key)
                groups, delayed, unread = await one.execute(raise_on_error=False)
        if isinstance(groups, ResponseError):  # no stream yet: nobody has read
            groups = []
        ours = next((dict(group) for group in groups if group["name"] == self._docket.worker_group_name), None)
        if ours is None:
            return QueueDepth(lag=unread, pending=0, delayed=delayed)
        return QueueDepth(lag=ours["lag"], pending=ours["pending"], delayed=delayed)

    async def _add(self, task: str, job_id: str) -> None:
        async with self._adding:
            with answering():
                await self._docket.add(task, key=f"{task}:{job_id}")(job_id)
