"""Nothing accepted is forgotten, nothing old is kept."""

from datetime import UTC, datetime, timedelta

from service.platform.errors import UnknownTicket
from service.tickets.blob_store import BlobStore
from service.tickets.maintenance import TicketMaintenance
from service.tickets.memory_store import MemoryQueue, MemoryTicketStore
from service.tickets.ticket import Ticket
from tests.support.ticket_store_suite import ACCEPTED, ticket


def sweep(store, queue, *, quiet_s=60, now: datetime | None = None) -> TicketMaintenance:
    blobs = BlobStore("memory://sweep")
    return TicketMaintenance(
        store, queue, blobs, quiet_s=quiet_s, keep=timedelta(days=30), clock=lambda: now or datetime.now(UTC)
    )


async def test_quiet_tickets_are_queued_again_and_finished_ones_are_not():
    store, queue = MemoryTicketStore(), MemoryQueue()
    for n in range(3):
        await store.create(ticket(n), ACCEPTED, None)
    await store.update(ticket(0).id, lambda record: (record.claim(), []))
    await store.update(ticket(1).id, lambda record: (record.cancel(datetime.now(UTC)), []))
    assert await sweep(store, queue, quiet_s=60).requeue_quiet() == 0
    assert await sweep(store, queue, quiet_s=0).requeue_quiet() == 2
    assert sorted(queue.judging) == [ticket(0).job_id, ticket(2).job_id]


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
