"""Nothing accepted is forgotten, nothing old is kept."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest

from service.platform.errors import UnknownTicket
from service.tickets.blob_store import BlobStore
from service.tickets.heartbeat_watch import HeartbeatWatch
from service.tickets.maintenance import TicketMaintenance
from service.tickets.memory_store import MemoryQueue, MemoryTicketStore
from service.tickets.ticket import State, Ticket, TicketPhoto
from tests.support.ticket_store_suite import ACCEPTED, ticket


def sweep(store, queue, *, quiet_s=60, now: datetime | None = None, clock=lambda: 0.0) -> TicketMaintenance:
    return TicketMaintenance(
        store,
        queue,
        BlobStore("memory://sweep"),
        watch=HeartbeatWatch(clock),
        quiet_s=quiet_s,
        keep=timedelta(days=30),
        clock=lambda: now or datetime.now(UTC),
    )


async def test_queued_tickets_without_a_job_are_queued_again_and_finished_ones_are_not():
    store, queue = MemoryTicketStore(), MemoryQueue()
    for n in range(3):
        await store.create(ticket(n), ACCEPTED, None)
    await store.update(ticket(1).id, lambda record: (record.cancel(datetime.now(UTC)), []))
    await queue.judge(ticket(0).job_id)
    maintenance = sweep(store, queue)
    assert await maintenance.requeue_lost() == 1
    assert sorted(queue.judging) == [ticket(0).job_id, ticket(2).job_id]
    assert await maintenance.requeue_lost() == 0


async def test_a_running_ticket_is_queued_again_once_its_heartbeat_has_stood_still_by_the_watchers_clock():
    store, queue, now = MemoryTicketStore(), MemoryQueue(), [0.0]
    for n in range(2):
        await store.create(ticket(n), ACCEPTED, None)
        await store.update(ticket(n).id, lambda record: (record.claim(), []))
    maintenance = sweep(store, queue, quiet_s=60, clock=lambda: now[0])
    for now[0] in (0, 59):
        assert await maintenance.requeue_lost() == 0
        await store.heartbeat(ticket(0).id, 1)
    now[0] = 60
    assert (await maintenance.requeue_lost(), list(queue.judging)) == (1, [ticket(1).job_id])
    for now[0], requeued in ((119, 0), (120, 2)):  # and is counted again from there
        assert await maintenance.requeue_lost() == requeued


async def test_finished_tickets_are_kept_for_their_days():
    store, queue = MemoryTicketStore(), MemoryQueue()
    await store.create(ticket(0), ACCEPTED, None)
    await store.update(ticket(0).id, lambda record: (Ticket.cancel(record, datetime.now(UTC)), []))
    day = ticket(0).accepted_at
    assert (await sweep(store, queue, now=day + timedelta(days=29)).delete_expired())[0] == 0
    assert (await sweep(store, queue, now=day + timedelta(days=31)).delete_expired())[0] == 1
    try:
        await store.get(ticket(0).id)
    except UnknownTicket:
        return
    raise AssertionError("it is still there")


@pytest.mark.parametrize("state", State)
async def test_an_undecided_ticket_and_its_photo_outlive_every_retention(tmp_path, state):
    store, blobs, data = MemoryTicketStore(), BlobStore(str(tmp_path)), b"photo"
    digest = sha256(data).hexdigest()
    await blobs.put(digest, data)
    photo = TicketPhoto(image_id="image_1", digest=digest)
    await store.create(replace(ticket(0), photos=(photo,), state=state), ACCEPTED, None)
    maintenance = TicketMaintenance(
        store,
        MemoryQueue(),
        blobs,
        watch=HeartbeatWatch(lambda: 0.0),
        quiet_s=60,
        keep=timedelta(days=30),
        clock=lambda: datetime.now(UTC) + timedelta(days=3650),
    )
    gone = 0 if state in {State.QUEUED, State.RUNNING, State.NEEDS_REVIEW} else 1
    assert await maintenance.delete_expired() == (gone, gone)
