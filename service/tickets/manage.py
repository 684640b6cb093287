"""Use cases of a person or system with an accepted ticket: cancel, retry, decide."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from service.platform.errors import ReviewConflict
from service.tickets.ports import JobQueue, TicketObserver
from service.tickets.store import Event, TicketStore
from service.tickets.ticket import Review, State, Ticket
from vqc.verdict import Verdict


class ManageTickets:
    """Changes tickets from outside. Each raises ``UnknownTicket``, ``TicketStateConflict`` or ``QueueUnavailable``."""

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
        """The ticket, cancelled; a worker that has it stops and its generation is aborted. Cancelling twice is the same."""
        now = self._clock()
        changed = False

        def cancelled(ticket: Ticket) -> tuple[Ticket, list[Event]]:
            nonlocal changed
            changed = ticket.state is not State.CANCELLED
            if not changed:
                return ticket, []
            return ticket.cancelled(now), [finished_event(State.CANCELLED, ticket.run, now, by=by)]

        ticket = await self._store.update(id, cancelled)
        if changed:
            self._observer.finished(ticket.state, None, (now - ticket.accepted_at).total_seconds())
        if ticket.webhook:
            await self._queue.notify(ticket.job_id)
        return ticket

    async def retry(self, id: str, by: str | None) -> Ticket:
        """A failed or cancelled ticket, queued again."""
        now = self._clock()

        def retried(ticket: Ticket) -> tuple[Ticket, list[Event]]:
            again = ticket.retried()
            data = {"state": again.state, "run": again.run, "by": by, "at": now.isoformat()}
            return again, [Event(name="retried", data=data)]

        ticket = await self._store.update(id, retried)
        await self._queue.judge(ticket.job_id)
        return ticket

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
        """The ticket with a person's decision in force; who, when, why and what it replaced stay in the record.

        ``verdict`` None takes the last decision back. With the ``revision`` that was looked at, a decision that came
        meanwhile is not overwritten: ``ReviewConflict``.
        """
        now, was = self._clock(), State.NEEDS_REVIEW

        def reviewed(ticket: Ticket) -> tuple[Ticket, list[Event]]:
            nonlocal was
            if revision is not None and revision != ticket.revision:
                raise ReviewConflict(ticket.id, revision, ticket.revision)
            was, replaced = ticket.state, ticket.verdict or (ticket.outcome.verdict if ticket.outcome else None)
            review = Review(verdict=verdict, name=name, note=note, reviewer=by, at=now, replaced=replaced)
            after = ticket.reviewed(review)
            data = {"state": after.state, "verdict": verdict, "name": name, "by": by, "at": now.isoformat()}
            return after, [Event(name="reviewed", data=data)]

        after = await self._store.update(id, reviewed)
        if verdict is not None:
            machine = after.outcome.verdict if after.outcome else None
            self._observer.reviewed(was, machine, verdict, (now - (after.finished_at or now)).total_seconds())
        return after


def finished_event(state: State, run: int, at: datetime, **data: object) -> Event:
    """The one event that ends a run; watchers stop after it."""
    return Event(name="finished", data={"state": state, "run": run, "at": at.isoformat(), **data})
