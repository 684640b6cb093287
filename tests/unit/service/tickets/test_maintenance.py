"""Nothing accepted is forgotten, nothing old is kept."""

from datetime import UTC, datetime, timedelta

from service.platform.errors import UnknownGroup
from service.tickets.blob_store import FsspecBlobStore
from service.tickets.maintenance import SweepGroups
from service.tickets.memory_store import MemoryGroupStore, MemoryQueue
from service.tickets.ticket import Group
from tests.support.ticket_store_suite import ACCEPTED, group


def sweep(store, queue, *, quiet_s=60, now: datetime | None = None) -> SweepGroups:
    blobs = FsspecBlobStore("memory://sweep")
    return SweepGroups(
        store, queue, blobs, quiet_s=quiet_s, keep=timedelta(days=30), clock=lambda: now or datetime.now(UTC)
    )


async def test_quiet_groups_are_queued_again_and_finished_ones_are_not():
    store, queue = MemoryGroupStore(), MemoryQueue()
    for n in range(3):
        await store.create(group(n), ACCEPTED, None)
    await store.update(group(0).id, lambda now: (now.claimed(), []))
    await store.update(group(1).id, lambda now: (now.cancelled(datetime.now(UTC)), []))
    assert await sweep(store, queue, quiet_s=60).requeue() == 0
    assert await sweep(store, queue, quiet_s=0).requeue() == 2
    assert sorted(queue.judging) == [group(0).job_id, group(2).job_id]


async def test_finished_groups_are_kept_for_their_days():
    store, queue = MemoryGroupStore(), MemoryQueue()
    await store.create(group(0), ACCEPTED, None)
    await store.update(group(0).id, lambda now: (Group.cancelled(now, datetime.now(UTC)), []))
    day = group(0).accepted_at
    assert (await sweep(store, queue, now=day + timedelta(days=29)).forget())[0] == 0
    assert (await sweep(store, queue, now=day + timedelta(days=31)).forget())[0] == 1
    try:
        await store.get(group(0).id)
    except UnknownGroup:
        return
    raise AssertionError("it is still there")
