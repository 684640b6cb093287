"""Maintenance: corrects indices and queue after the records, requeues lost jobs, deletes expired tickets and photos."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import structlog

from service.platform.errors import RecordUnreadable, UnknownTicket
from service.tickets.blob_store import BlobStore
from service.tickets.heartbeat_watch import HeartbeatWatch
from service.tickets.ports import JobQueue
from service.tickets.store import TicketStore
from service.tickets.ticket import State

_PAGE = 1000
"""Queued tickets that one round compares with the queue."""
_WEBHOOK_HELD_S = 30.0
"""A webhook that one worker has had for so long is lost with it: an attempt takes ten seconds."""
_MARKED = (State.QUEUED, State.RUNNING, State.QUEUED, State.RUNNING, State.NEEDS_REVIEW)
"""The undecided states in the order of a ticket's way, twice where it may go back: one that moves meanwhile is not missed."""
_log = structlog.get_logger("vqc.worker")


class TicketMaintenance:
    """Keeps the queue equal to the records, which are the truth, and deletes decided tickets after ``keep``.

    A job is lost when the API died after it saved the record and before it queued the job, or when the queue lost it while
    the record survived. A running ticket is quiet when its heartbeat has not changed for ``quiet_s``: its worker is dead, and
    the queue has not delivered its job again. Requeueing a job has no effect on a run that is over or that a living worker
    has, so it does no harm to do this too often or in several workers.
    """

    def __init__(
        self,
        store: TicketStore,
        queue: JobQueue,
        blobs: BlobStore,
        *,
        watch: HeartbeatWatch,
        quiet_s: float,
        keep: timedelta,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._queue = queue
        self._blobs = blobs
        self._watch = watch
        self._quiet_s = quiet_s
        self._keep = keep
        self._clock = clock
        self._after: str | None = None
        self._owing_after: str | None = None

    async def repair(self) -> None:
        """Corrects what is not as the records say. Raises ``QueueUnavailable``."""
        if entries := await self._queue.repair():
            _log.error("queue_entries_set_aside", entries=entries)
        if repairs := await self._store.repair():
            _log.error(
                "records_repaired",
                reindexed=repairs.reindexed,
                set_aside=repairs.set_aside,
                returned=repairs.returned,
            )

    async def requeue_lost(self) -> int:
        """Requeues lost jobs and quiet tickets; returns their number. Raises ``QueueUnavailable``."""
        page = await self._store.page(State.QUEUED, after=self._after, limit=_PAGE)
        self._after = page.after
        requeued = await self._queue.requeue_lost([ticket.job_id for ticket in page.tickets], held_s=self._quiet_s)
        for id in self._watch.quiet(await self._store.beats(), self._quiet_s):
            try:
                ticket = await self._store.get(id)
            except (UnknownTicket, RecordUnreadable):
                continue
            if ticket.state is State.RUNNING:
                await self._queue.requeue(ticket.job_id)
                requeued += 1
        return requeued

    async def renotify_lost(self) -> int:
        """Queues the webhooks again whose jobs are lost; returns their number. Raises ``QueueUnavailable``."""
        page = await self._store.owing(after=self._owing_after, limit=_PAGE)
        self._owing_after = page.after
        jobs = [ticket.job_id for ticket in page.tickets]
        return await self._queue.renotify_lost(jobs, held_s=max(self._quiet_s, _WEBHOOK_HELD_S))

    async def delete_expired(self) -> tuple[int, int]:
        """Deletes expired tickets and photos; returns their numbers. Raises ``QueueUnavailable``."""
        before = self._clock() - self._keep
        tickets = await self._store.remove(before)
        # Read after the tickets are gone, and before the first photo is looked at. What is put from now on is new.
        return tickets, await self._blobs.remove(before, await self._needed_photos())

    async def _needed_photos(self) -> set[str]:
        """The digests of all photos that a ticket without a decision has, however old it is."""
        needed: set[str] = set()
        for state in _MARKED:
            after = None
            while True:
                page = await self._store.page(state, after=after, limit=_PAGE)
                needed |= {photo.digest for ticket in page.tickets for photo in ticket.photos if photo.digest}
                if (after := page.after) is None:
                    break
        return needed
