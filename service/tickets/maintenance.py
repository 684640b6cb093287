"""Use cases that nobody asks for: nothing accepted is forgotten, and nothing old is kept."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from service.tickets.blobs import BlobStore
from service.tickets.ports import JobQueue
from service.tickets.store import TicketStore


class TicketMaintenance:
    """Queues active tickets again that nobody was heard of for ``quiet_s``, and forgets finished ones after ``keep``.

    A ticket is quiet when its job was lost: the API died between record and queue, or the queue lost what the record kept.
    Queueing a job that is still there changes nothing, so it is safe to do it too often, and from several workers.
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

    async def requeue(self) -> int:
        """How many quiet tickets were queued again. Raises ``QueueUnavailable``."""
        quiet = await self._store.quiet(self._quiet_s)
        for ticket in quiet:
            await self._queue.judge(ticket.job_id)
        return len(quiet)

    async def forget(self) -> tuple[int, int]:
        """How many tickets and photos were too old. Raises ``QueueUnavailable``."""
        before = self._clock() - self._keep
        return await self._store.remove(before), await self._blobs.remove(before)
