"""Maintenance: requeues lost jobs, deletes expired tickets and photos."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from service.tickets.blob_store import BlobStore
from service.tickets.ports import JobQueue
from service.tickets.store import TicketStore


class TicketMaintenance:
    """Requeues active tickets without a heartbeat for ``quiet_s``, and deletes finished ones after ``keep``.

    A ticket is quiet when its job was lost: the API died after it saved the record and before it queued the job, or the queue
    lost the job while the record survived. Queueing a job that is still on the queue has no effect, so it does no harm to
    do this too often or in several workers.
    """

    def __init__(
        self,
        store: TicketStore,
        queue: JobQueue,
        blobs: BlobStore,
        *,
        quiet_s: float,
        keep: timedelta,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._queue = queue
        self._blobs = blobs
        self._quiet_s = quiet_s
        self._keep = keep
        self._clock = clock

    async def requeue_quiet(self) -> int:
        """Requeues the quiet tickets; returns their number. Raises ``QueueUnavailable``."""
        # The store renews the heartbeat of what it returns. So the workers, which all run this, do not requeue one ticket at
        # the same moment, and a ticket that waits in a long queue is looked at again only after another ``quiet_s``.
        quiet = await self._store.fetch_quiet(self._quiet_s)
        for ticket in quiet:
            await self._queue.judge(ticket.job_id)
        return len(quiet)

    async def delete_expired(self) -> tuple[int, int]:
        """Deletes expired tickets and photos; returns their numbers. Raises ``QueueUnavailable``."""
        before = self._clock() - self._keep
        return await self._store.remove(before), await self._blobs.remove(before)
