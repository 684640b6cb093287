"""The records are the truth: whatever the queue or an index in Redis has lost or cannot read, work goes on."""

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
import pytest_asyncio
from docket import Worker

from service.platform.errors import RecordUnreadable
from service.tickets.claim import claim_ticket
from service.tickets.heartbeat_watch import HeartbeatWatch
from service.tickets.maintenance import TicketMaintenance
from service.tickets.ports import JUDGE
from service.tickets.review import ReviewFacet
from service.tickets.ticket import State
from service.web.problems import problem_of
from tests.support.redis_servers import SERVERS
from tests.support.stage_b_redis import SpoiltRedis, spoilt_redis
from tests.support.ticket_store_suite import START, held

pytestmark = pytest.mark.asyncio(loop_scope="module")
STREAM, QUEUE, GROUP = "vqc-stage-b:stream", "vqc-stage-b:queue", "docket-workers"


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=SERVERS)
async def server(request, tmp_path_factory):
    async with spoilt_redis(tmp_path_factory.mktemp(request.param), request.param) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="module")
async def bench(server):
    await server.admin.flushdb()
    await server.parts.docket._ensure_stream_and_group()
    return server


def maintenance(bench: SpoiltRedis, clock=lambda: 0.0) -> TicketMaintenance:
    return TicketMaintenance(
        bench.parts.store,
        bench.parts.queue,
        bench.parts.blobs,
        watch=HeartbeatWatch(clock),
        quiet_s=60,
        keep=timedelta(days=1),
    )


async def all_jobs(bench: SpoiltRedis) -> list[str]:
    """The jobs that a worker gets now, each of which it finishes."""
    seen = []

    async def judge(job_id: str) -> None:
        seen.append(job_id)

    bench.parts.docket.register(judge, names=[JUDGE])
    async with Worker(
        bench.parts.docket,
        minimum_check_interval=timedelta(milliseconds=5),
        scheduling_resolution=timedelta(milliseconds=5),
        redelivery_timeout=timedelta(milliseconds=500),
    ) as worker:
        await asyncio.wait_for(worker.run_until_finished(), 60)
    return sorted(seen)


async def stream_deleted(redis) -> None:
    await redis.delete(STREAM)


async def one_entry_deleted(redis) -> None:
    (first, *_) = await redis.xrange(STREAM)
    await redis.xdel(STREAM, first[0])


async def stream_trimmed(redis) -> None:
    await redis.xtrim(STREAM, maxlen=1, approximate=False)


async def group_destroyed(redis) -> None:
    await redis.xgroup_destroy(STREAM, GROUP)


async def group_moved_to_the_end(redis) -> None:
    await redis.xgroup_setid(STREAM, GROUP, "$")


async def stream_of_another_type(redis) -> None:
    await redis.set(STREAM, "hello")


async def everything_of_the_queue_deleted(redis) -> None:
    await redis.delete(*[key async for key in redis.scan_iter("vqc-stage-b:*")])


async def bookkeeping_deleted(redis) -> None:
    await redis.delete(STREAM, *[key async for key in redis.scan_iter("vqc-stage-b:runs:*")])


async def bookkeeping_unreadable(redis) -> None:
    await redis.delete(STREAM)
    for key in [key async for key in redis.scan_iter("vqc-stage-b:runs:*")]:
        await redis.hset(key, "generation", "x")


async def queued_index_deleted(redis) -> None:
    await redis.delete(STREAM, "vqc:groups:queued")


async def all_indices_deleted(redis) -> None:
    await redis.delete(STREAM, *[key async for key in redis.scan_iter("vqc:groups:*")])


async def queued_index_of_another_type(redis) -> None:
    await redis.set("vqc:groups:queued", "hello")
    await redis.delete(STREAM)


LOSSES = (
    stream_deleted,
    one_entry_deleted,
    stream_trimmed,
    group_destroyed,
    group_moved_to_the_end,
    stream_of_another_type,
    everything_of_the_queue_deleted,
    bookkeeping_deleted,
    bookkeeping_unreadable,
    queued_index_deleted,
    all_indices_deleted,
    queued_index_of_another_type,
)


@pytest.mark.parametrize("lose", LOSSES)
async def test_what_is_queued_in_the_records_is_queued_again(bench, lose):
    tickets = await bench.tickets(5)
    await lose(bench.admin)
    await bench.services.update_metrics()
    sweep = maintenance(bench)
    await sweep.repair()
    await sweep.requeue_lost()
    assert await bench.services.find_problems() == []
    assert (await bench.parts.store.counts())[State.QUEUED] == 5
    assert (await bench.parts.queue.depth()).lag >= 5
    await sweep.repair()
    assert await sweep.requeue_lost() == 0  # all of them are there
    assert set(await all_jobs(bench)) == {ticket.job_id for ticket in tickets}


async def test_a_webhook_whose_job_is_lost_is_queued_again(bench):
    (ticket,) = await bench.tickets(1, webhook="https://receiver.test/")
    await bench.services.manage.cancel(ticket.id, None)
    sweep = maintenance(bench)
    assert await sweep.renotify_lost() == 0
    await bench.admin.delete(STREAM)
    assert (await sweep.renotify_lost(), await sweep.renotify_lost()) == (1, 0)
    ((_, entry),) = await bench.admin.xrange(STREAM)
    assert entry["key"] == f"notify:{ticket.job_id}"


async def test_a_job_of_a_queued_ticket_that_a_dead_worker_had_is_queued_again(bench, monkeypatch):
    """Delivered, not yet claimed in the record, and its entry lost with the stream: docket's bookkeeping says running."""
    (ticket,) = await bench.tickets(1)
    await bench.admin.hset(f"vqc-stage-b:runs:judge:{ticket.job_id}", mapping={"state": "running", "started_at": "1"})
    await bench.admin.hdel(f"vqc-stage-b:runs:judge:{ticket.job_id}", "known", "stream_id")
    await bench.admin.delete(STREAM)
    now = [0.0]
    monkeypatch.setattr(bench.parts.queue._entries, "_held", HeartbeatWatch(lambda: now[0]))
    sweep = maintenance(bench)
    assert await sweep.requeue_lost() == 0
    now[0] = 60.0
    assert await sweep.requeue_lost() == 1
    assert await all_jobs(bench) == [ticket.job_id]


async def test_the_clock_of_redis_goes_back_an_hour_while_a_worker_dies(bench):
    """Its heartbeat, the delivery of its job and docket's lease of the redelivery are then all an hour in the future."""
    (ticket,) = await bench.tickets(1)
    store = bench.parts.store
    await claim_ticket(store, ticket.id, "1", max_attempts=3, clock=lambda: START, store_poll_s=1)
    ((_, ((entry, _),)),) = await bench.admin.xreadgroup(GROUP, "dead", {STREAM: ">"})
    ahead = (await bench.admin.time())[0] + 3600
    await bench.admin.zadd("vqc:groups:active", {ticket.id: ahead})
    await bench.admin.xclaim(STREAM, GROUP, "dead", 0, [entry], time=ahead * 1000)
    await bench.admin.set("vqc-stage-b:leases:redelivery-sweep", "dead", ex=3600)
    now = [0.0]
    sweep = maintenance(bench, lambda: now[0])
    assert await sweep.requeue_lost() == 0
    now[0] = 61.0
    assert await sweep.requeue_lost() == 1
    assert (await bench.parts.queue.depth()).lag == 1  # it waits for a worker of now
    before = await store.beat(ticket.id)
    assert await store.heartbeat(ticket.id, 1)  # and a heartbeat of the earlier hour is a new one all the same
    assert await store.beat(ticket.id) != before


async def test_a_sweep_of_a_sound_queue_changes_nothing(bench):
    tickets = await bench.tickets(3)
    entries = await bench.admin.xrange(STREAM)
    sweep = maintenance(bench)
    await sweep.repair()
    assert await sweep.requeue_lost() == 0
    assert await bench.admin.xrange(STREAM) == entries
    assert await all_jobs(bench) == [ticket.job_id for ticket in tickets]


async def test_an_unread_entry_that_was_deleted_leaves_a_lag_that_is_a_number(bench):
    await bench.tickets(6)
    entries = await bench.admin.xrange(STREAM)
    await bench.admin.xdel(STREAM, entries[2][0])
    assert (await bench.parts.queue.depth()).lag == 5


@asynccontextmanager
async def set_aside(bench: SpoiltRedis, jobs: int):
    """Those many entries are set aside inside the block, and a ticket beside them is delivered."""
    (ticket,) = await bench.tickets(1)
    yield
    assert await all_jobs(bench) == [ticket.job_id]
    assert (await bench.parts.queue.depth()).unreadable == jobs
    await bench.services.update_metrics()
    assert await bench.admin.xlen(STREAM) == 0


ENTRIES = (
    {"hello": "world"},
    {"function": "judge", "key": "judge:1.1", "args": "no pickle", "kwargs": "", "when": "x", "attempt": "1"},
    {
        "function": "unknown",
        "key": "k",
        "args": b"\x80\x05).",
        "kwargs": b"\x80\x05}.",
        "when": "2026-01-01",
        "attempt": "1",
    },
    {
        "function": "judge",
        "key": "k",
        "args": b"\x80\x05).",
        "kwargs": b"\x80\x05}.",
        "when": "2026-01-01",
        "attempt": "1",
    },
    {b"function": b"\xff\xfe", "key": b"\xff"},
)


@pytest.mark.parametrize("entry", ENTRIES, ids=range(len(ENTRIES)))
async def test_an_entry_that_is_no_job_is_set_aside_and_work_goes_on(bench, entry):
    await bench.admin.xadd(STREAM, entry)
    async with set_aside(bench, 1):
        pass
    ((_, kept),) = await bench.admin.xrange("vqc-stage-b:aside")
    assert len(kept) == len(entry) + 1


async def test_an_entry_that_killed_a_worker_of_before_is_set_aside_when_it_is_redelivered(bench):
    await bench.admin.xadd(STREAM, {"hello": "world"})
    await bench.admin.xreadgroup(GROUP, "dead", {STREAM: ">"})
    await asyncio.sleep(0.55)  # the redelivery timeout of ``all_jobs``
    async with set_aside(bench, 1):
        pass


@pytest.mark.parametrize("parked", ["hash", "string", "nothing"])
async def test_a_delayed_entry_that_is_no_job_does_not_hold_up_the_others(bench, parked):
    await bench.admin.zadd(QUEUE, {"odd": 1})
    if parked == "hash":
        await bench.admin.hset("vqc-stage-b:odd", "hello", "world")
    elif parked == "string":
        await bench.admin.set("vqc-stage-b:odd", "hello")
    await maintenance(bench).repair()
    assert (await bench.parts.queue.depth()).unreadable == 1
    (ticket,) = await bench.tickets(1)
    assert await all_jobs(bench) == [ticket.job_id]


RECORDS = {
    "no JSON": {"record": "{"},
    "no text": {"record": b"\xff\xfe"},
    "another version's": {"record": '{"id": "1", "photos": "new"}'},
    "another ticket's": {"record": None},
    "no version": {"version": "x"},
    "no state": {"state": "unknown"},
}


@pytest.mark.parametrize("damage", RECORDS)
async def test_a_record_that_cannot_be_read_is_set_aside_and_returns_when_it_can(bench, damage):
    other, ticket = await bench.tickets(2)
    store, key = bench.parts.store, f"vqc:group:{ticket.id}"
    sound = await bench.admin.hgetall(key)
    copied = {"record": await bench.admin.hget(f"vqc:group:{other.id}", "record")}
    await bench.admin.hset(key, mapping=copied if damage == "another ticket's" else RECORDS[damage])
    if damage != "no state":  # which only the sweep looks at
        with pytest.raises(RecordUnreadable) as raised:
            await store.get(ticket.id)
        assert problem_of(raised.value).status == 503
    await maintenance(bench).repair()
    assert [one.id for one in (await store.page(State.QUEUED, after=None, limit=9)).tickets] == [other.id]
    assert (await store.counts())[State.QUEUED] == 1
    await bench.services.update_metrics()
    assert bench.services.metrics._unreadable.labels("record")._value.get() == 1
    assert await bench.services.find_problems() == []

    await bench.admin.hset(key, mapping=sound)
    await maintenance(bench).repair()
    assert await store.get(ticket.id) == ticket
    assert ((await store.counts())[State.QUEUED], await store.unreadable()) == (2, 0)


async def test_a_record_of_another_type_is_set_aside_too(bench):
    (ticket,) = await bench.tickets(1)
    await bench.admin.set(f"vqc:group:{ticket.id}", "hello")
    with pytest.raises(RecordUnreadable):
        await bench.parts.store.get(ticket.id)
    assert list((await bench.parts.store.page(State.QUEUED, after=None, limit=9)).tickets) == []
    assert await bench.parts.store.unreadable() == 1


async def test_an_index_entry_without_a_record_is_removed(bench):
    (ticket,) = await bench.tickets(1)
    await bench.admin.zadd("vqc:groups:queued", {"hello": 0, "0" * 34: 0})
    assert await bench.parts.store.oldest()
    await maintenance(bench).requeue_lost()
    assert await bench.admin.zrange("vqc:groups:queued", 0, -1) == [ticket.id]


async def test_the_review_queue_is_rebuilt_from_the_records(bench):
    waiting = await held(bench.parts.store, 1, risky=True)
    before = await bench.parts.store.facet_counts()
    await bench.admin.delete(*[key async for key in bench.admin.scan_iter("vqc:shel*")])
    await bench.admin.sadd("vqc:shelves", "no facet")
    await bench.admin.zadd("vqc:shelf:no facet", {"x": 0})
    await maintenance(bench).repair()
    assert await bench.parts.store.facet_counts() == before
    (found,) = await bench.parts.store.waiting(ReviewFacet(), after=None, until=None, limit=9)
    assert found.id == waiting.id


async def test_events_that_are_none_are_skipped(bench):
    (ticket,) = await bench.tickets(1)
    await bench.admin.xadd(f"vqc:group:{ticket.id}:events", {"hello": "world"})
    await bench.admin.xadd(f"vqc:group:{ticket.id}:events", {"name": "x", "data": "{"})
    assert [event.name for event in await bench.parts.store.events(ticket.id, None)] == ["accepted"]
