"""What KEDA scales on, the consumer group's lag, is exact through adds, acknowledgements, retries and cancels."""

import asyncio
from datetime import timedelta

import pytest
from docket import Retry, Worker

from service.platform.redis_client import connect
from service.platform.redis_server import embedded_redis
from service.tickets.manage import ManageTickets
from service.tickets.ports import JUDGE, QueueDepth, TicketObserver
from service.tickets.queue import DocketQueue, docket
from tests.support.redis_servers import SERVERS, binary_of
from tests.support.ticket_store_suite import ACCEPTED, ticket


@pytest.fixture(params=SERVERS)
async def url(request, tmp_path):
    async with embedded_redis(tmp_path / "redis", binary_of(request.param)) as url:
        yield url


class Job:
    """Holds each job until it is let go; a job named in ``again`` asks once to be delivered again."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.begun: list[str] = []
        self.again: set[str] = set()
        self.delay = timedelta(0)

    async def __call__(self, job_id: str, retry: Retry = Retry(attempts=None)) -> None:  # noqa: B008
        self.begun.append(job_id)
        await self.go.wait()
        if job_id in self.again:
            self.again.discard(job_id)
            retry.after(self.delay)


async def test_the_lag_is_exact(url):
    job = Job()
    async with connect(url) as redis, docket(url) as opened:
        queue = DocketQueue(opened, redis)

        async def judge(job_id: str, retry: Retry = Retry(attempts=None)) -> None:  # noqa: B008
            await job(job_id, retry)

        opened.register(judge, names=[JUDGE])
        assert await queue.depth() == QueueDepth(lag=0, pending=0, delayed=0)
        for n in range(10):
            await queue.judge(f"job{n}.1")
            await queue.judge(f"job{n}.1")  # a second time is the same
        assert await queue.depth() == QueueDepth(lag=10, pending=0, delayed=0)

        async with Worker(opened, concurrency=3, minimum_check_interval=timedelta(milliseconds=20)) as worker:
            running = asyncio.create_task(worker.run_forever())
            await depth_is(queue, QueueDepth(lag=7, pending=3, delayed=0))
            await queue.judge("late.1")
            await depth_is(queue, QueueDepth(lag=8, pending=3, delayed=0))
            job.again, job.delay = {job.begun[0]}, timedelta(seconds=1)
            job.go.set()
            await depth_is(queue, QueueDepth(lag=0, pending=0, delayed=1))  # its time has not come
            await depth_is(queue, QueueDepth(lag=0, pending=0, delayed=0))
            assert len(job.begun) == 12
            job.go.clear()
            for n in range(5):
                await queue.judge(f"more{n}.1")
            await depth_is(queue, QueueDepth(lag=2, pending=3, delayed=0))
            job.again, job.delay = {job.begun[-1]}, timedelta(0)
            job.go.set()
            await depth_is(queue, QueueDepth(lag=0, pending=0, delayed=0))
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def test_a_cancelled_ticket_stays_counted_until_a_worker_has_seen_it(url):
    from service.tickets.redis_store import RedisTicketStore

    async with connect(url) as redis, docket(url) as opened:
        store, queue = RedisTicketStore(redis), DocketQueue(opened, redis)
        tickets = [await store.create(ticket(n), ACCEPTED, None) for n in range(4)]
        for one in tickets:
            await queue.judge(one.job_id)
        manage = ManageTickets(store, queue, TicketObserver())
        await manage.cancel(tickets[1].id, None)
        again = await manage.retry(tickets[1].id, None)
        await manage.cancel(tickets[2].id, None)
        assert again.job_id != tickets[1].job_id
        assert await queue.depth() == QueueDepth(lag=5, pending=0, delayed=0)
        seen = []

        async def judge(job_id: str) -> None:
            seen.append(job_id)

        opened.register(judge, names=[JUDGE])
        async with Worker(opened) as worker:
            await worker.run_until_finished()
        assert sorted(seen) == sorted([*(one.job_id for one in tickets), again.job_id])
        assert await queue.depth() == QueueDepth(lag=0, pending=0, delayed=0)


async def depth_is(queue: DocketQueue, wanted: QueueDepth) -> None:
    found = None
    try:
        async with asyncio.timeout(120):
            while (found := await queue.depth()) != wanted:
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"{found} instead of {wanted}") from None
