"""The job queue: ``pydocket`` on Redis streams. The payload of a job is its id.

A job is removed from the stream only by the worker that it is delivered to, even if its ticket was cancelled meanwhile.
Deleting an undelivered entry would make the lag of the consumer group unknown, and KEDA scales on that lag.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import uuid4

from docket import Docket
from redis.asyncio import Redis
from redis.exceptions import ResponseError
from typing_extensions import override

from service.platform.redis_client import CONNECTIONS, answering
from service.tickets.ports import JUDGE, NOTIFY, JobQueue, QueueDepth

NAME = "vqc-stage-b"
"""The queue's name: its stream is ``vqc-stage-b:stream``, its consumer group ``docket-workers``."""
_KEEP_RUNS = timedelta(minutes=5)


async def _run_in_worker(job_id: str) -> None:
    raise AssertionError(f"job {job_id} runs only in a worker")


@asynccontextmanager
async def docket(url: str, name: str = NAME, *, jobs: int = 16) -> AsyncGenerator[Docket, None]:
    """The queue on the Redis at ``url``, ready to add jobs. A worker registers the functions that run them, ``jobs`` at once.

    A running job uses one connection at a time and would fail without a free one. So the pool has one for every job, and
    more for adding jobs and for the worker itself.
    """
    url_with_pool = f"{url}{'&' if '?' in url else '?'}max_connections={jobs + 2 * CONNECTIONS}"
    async with Docket(name=name, url=url_with_pool, execution_ttl=_KEEP_RUNS) as opened:
        opened.register(_run_in_worker, names=[JUDGE, NOTIFY])
        yield opened


class DocketQueue(JobQueue):
    """The job queue on a docket."""

    def __init__(self, docket: Docket, redis: Redis) -> None:
        self._docket = docket
        self._redis = redis
        self._adding = asyncio.Semaphore(
            CONNECTIONS
        )  # docket's pool raises instead of waiting when no connection is free

    @override
    async def judge(self, job_id: str) -> None:
        await self._add(JUDGE, job_id)

    @override
    async def notify(self, job_id: str, *, again: bool = False) -> None:
        await self._add(NOTIFY, job_id, f":{uuid4().hex}" if again else "")

    @override
    async def depth(self) -> QueueDepth:
        with answering():
            async with self._redis.pipeline(transaction=True) as one:
                one.xinfo_groups(self._docket.stream_key)
                one.zcard(self._docket.queue_key)
                one.xlen(self._docket.stream_key)
                groups, delayed, entries = await one.execute(raise_on_error=False)
        if isinstance(groups, ResponseError):  # no consumer group yet: no worker has ever read the stream
            groups = []
        ours = next((dict(group) for group in groups if group["name"] == self._docket.worker_group_name), None)
        if ours is None:
            return QueueDepth(lag=entries, pending=0, delayed=delayed)
        return QueueDepth(lag=ours["lag"], pending=ours["pending"], delayed=delayed)

    async def _add(self, task: str, job_id: str, key_end: str = "") -> None:
        async with self._adding:
            with answering():
                await self._docket.add(task, key=f"{task}:{job_id}{key_end}")(job_id)
