"""Changes an accepted ticket for a person or a system: cancel, retry, review."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from service.platform.errors import ReviewConflict, TicketStateConflict
from service.tickets.ports import JobQueue, TicketObserver
from service.tickets.store import Change, Event, TicketStore, finished_event
from service.tickets.ticket import Review, State, Ticket
from vqc.verdict import Verdict


class ManageTickets:
    """Every method raises ``UnknownTicket``, ``TicketStateConflict`` or ``QueueUnavailable``."""

    def __init__(
        self,
        store: TicketStore,
        queue: JobQueue,
        observer: TicketObserver,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._queue = queue
        self._observer = observer
        self._clock = clock

    async def cancel(self, id: str, by: str | None) -> Ticket:
        """Cancels a ticket; a worker that runs it stops and aborts its generation. Cancelling twice has no further effect."""
        now = self._clock()
        changed = False

        def change(record: Ticket) -> Change:
            nonlocal changed
            changed = record.state is not State.CANCELLED
            if not changed:
                return record, []
            return record.cancel(now), [finished_event(State.CANCELLED, record.run, now, by=by)]

        ticket = await self._store.update(id, change)
        if changed:
            self._observer.record_finished(ticket.state, None, (now - ticket.accepted_at).total_seconds())
        if ticket.webhook:
            await self._queue.notify(ticket.job_id)
        return ticket

    async def retry(self, id: str, by: str | None) -> Ticket:
        """Queues a failed or cancelled ticket again."""
        now = self._clock()

        def change(record: Ticket) -> Change:
            after = record.retry()
            data = {"state": after.state, "run": after.run, "by": by, "at": now.isoformat()}
            return after, [Event(name="retried", data=data)]

        ticket = await self._store.update(id, change)
        await self._queue.judge(ticket.job_id)
        return ticket

    async def resend_webhook(self, job_id: str) -> None:
        """Queues the webhook of a finished run again. Raises ``TicketStateConflict`` if the ticket has run again since."""
        ticket = await self._store.get(job_id.partition(".")[0])
        if ticket.job_id != job_id or not ticket.is_finished:
            raise TicketStateConflict(ticket.id, ticket.state, "sent again", ["a finished run"])
        await self._queue.notify(job_id, again=True)

    async def review(
        self,
        id: str,
        *,
        verdict: Verdict | None,
        name: str,
        note: str,
        by: str | None,
        revision: int | None = None,
    ) -> Ticket:
        """Saves a person's decision. The record keeps who decided, when, why, and the verdict that was replaced.

        ``verdict`` None withdraws the last decision. With ``revision``, the one that the person saw, a decision that another
        person has made since is not overwritten: it raises ``ReviewConflict``.
        """
        now, before = self._clock(), State.NEEDS_REVIEW

        def change(record: Ticket) -> Change:
            nonlocal before
            if revision is not None and revision != record.revision:
                raise ReviewConflict(record.id, revision, record.revision)
            before, replaced = record.state, record.verdict or (record.outcome.verdict if record.outcome else None)
            review = Review(verdict=verdict, name=name, note=note, reviewer=by, at=now, replaced=replaced)
            after = record.with_review(review)
            data = {"state": after.state, "verdict": verdict, "name": name, "by": by, "at": now.isoformat()}
            return after, [Event(name="reviewed", data=data)]

        ticket = await self._store.update(id, change)
        if verdict is not None:
            machine = ticket.outcome.verdict if ticket.outcome else None
            seconds = (now - (ticket.finished_at or now)).total_seconds()
            self._observer.record_review(before, machine, verdict, seconds)
        return ticket
