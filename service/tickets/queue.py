"""The job queue: ``pydocket`` on Redis streams. The payload of a job is its id.

A job is removed from the stream only by the worker that it is delivered to, even if its ticket was cancelled meanwhile.
Deleting an undelivered entry would make the lag of the consumer group unknown, and KEDA scales on that lag.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from time import time
from uuid import uuid4

from docket import Docket
from redis.asyncio import Redis
from typing_extensions import override

from service.platform.redis_answers import unavailable
from service.platform.redis_client import CONNECTIONS, answering
from service.tickets.ports import JUDGE, NOTIFY, JobQueue, QueueDepth
from service.tickets.queue_entries import QueueEntries, ScreenedDocket, aside_key

NAME = "vqc-stage-b"
"""The queue's name: its stream is ``vqc-stage-b:stream``, its consumer group ``docket-workers``."""
_KEEP_RUNS = timedelta(minutes=5)
_TIMEOUT_S = 5.0
MAX_DELAY_S = 90.0
"""No judging is delayed for longer: the longest backoff of ``RetryPolicy`` and a margin for the clocks of two hosts."""

_MAX_NOTIFY_DELAY_S = 15 * 60.0


async def _run_in_worker(job_id: str) -> None:
    raise AssertionError(f"job {job_id} runs only in a worker")


@asynccontextmanager
async def docket(url: str, name: str = NAME, *, jobs: int = 16) -> AsyncGenerator[Docket, None]:
    """The queue on the Redis at ``url``, ready to add jobs. A worker registers the functions that run them, ``jobs`` at once.

    A running job uses one connection at a time and would fail without a free one. So the pool has one for every job, and
    more for adding jobs and for the worker itself.
    """
    url_with_pool = f"{url}{'&' if '?' in url else '?'}max_connections={jobs + 2 * CONNECTIONS}"
    async with ScreenedDocket(name=name, url=url_with_pool, execution_ttl=_KEEP_RUNS) as opened:
        opened.register(_run_in_worker, names=[JUDGE, NOTIFY])
        yield opened


class DocketQueue(JobQueue):
    """The job queue on a docket."""

    def __init__(self, docket: Docket, redis: Redis) -> None:
        self._docket = docket
        self._redis = redis
        self._entries = QueueEntries(docket, redis)
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
    async def requeue(self, job_id: str) -> None:
        # A new generation of the job: should the old one be delivered after all, docket drops it.
        await self._add(JUDGE, job_id, again=True)

    @override
    async def requeue_lost(self, job_ids: Sequence[str], *, held_s: float) -> int:
        if not job_ids:
            return 0
        # By the clock of this host, which may differ from the one that delayed a job: such a job is only run too early.
        lost = await self._entries.find_lost(JUDGE, job_ids, latest=time() + MAX_DELAY_S, held_s=held_s)
        for job_id in lost:
            await self.requeue(job_id)
        return len(lost)

    @override
    async def renotify_lost(self, job_ids: Sequence[str], *, held_s: float) -> int:
        if not job_ids:
            return 0
        lost = await self._entries.find_lost(NOTIFY, job_ids, latest=time() + _MAX_NOTIFY_DELAY_S, held_s=held_s)
        for job_id in lost:
            await self._add(NOTIFY, job_id, again=True)
        return len(lost)

    @override
    async def repair(self) -> int:
        return await self._entries.repair(time() + MAX_DELAY_S)

    @override
    async def probe(self) -> None:
        await self._entries.probe()

    @override
    async def depth(self) -> QueueDepth:
        stream = self._docket.stream_key
        with answering():
            async with self._redis.pipeline(transaction=True) as one:
                one.xlen(stream)
                one.zcard(self._docket.queue_key)
                one.xlen(aside_key(self._docket))
                one.xinfo_groups(stream)
                found = await one.execute(raise_on_error=False)
        entries, delayed, unreadable, groups = found
        for answer in found[:3]:
            if isinstance(answer, Exception):
                raise unavailable(answer) from answer
        if isinstance(groups, Exception):  # "no such key": no stream yet
            if entries:
                raise unavailable(groups) from groups
            groups = []
        ours = next((dict(group) for group in groups if group["name"] == self._docket.worker_group_name), None)
        pending = int(ours["pending"]) if ours else 0
        # The server does not know the lag once an entry was deleted before its delivery. Jobs are deleted when they are done,
        # so every entry that no worker has is yet to be delivered.
        lag = ours["lag"] if ours and ours["lag"] is not None else max(0, entries - pending)
        return QueueDepth(lag=lag, pending=pending, delayed=delayed, unreadable=unreadable)

    async def _add(self, task: str, job_id: str, key_end: str = "", *, again: bool = False) -> None:
        key = f"{task}:{job_id}{key_end}"
        async with self._adding:
            with answering():
                # docket's connections have no deadline, for the sake of its blocking reads
                async with asyncio.timeout(_TIMEOUT_S):
                    if again:
                        await self._docket.replace(task, when=datetime.now(UTC), key=key)(job_id)
                    else:
                        await self._docket.add(task, key=key)(job_id)
