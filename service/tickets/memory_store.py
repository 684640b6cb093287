"""The ticket store and the job queue in memory, for tests and for programs that embed the use cases."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime

from typing_extensions import override

from service.platform.errors import IdempotencyConflict, UnknownTicket
from service.tickets.ports import JobQueue, QueueDepth
from service.tickets.review import ReviewFacet, facets_of
from service.tickets.store import (
    Change,
    Event,
    Idempotency,
    Repairs,
    StoredEvent,
    TicketPage,
    TicketStore,
    owes_webhook,
)
from service.tickets.ticket import ACTIVE, UNDECIDED, State, Ticket, id_at, moment_of


class MemoryQueue(JobQueue):
    """The job queue in memory: ``judging`` and ``notifying`` hold the job ids in order, each once."""

    def __init__(self) -> None:
        self.judging: dict[str, None] = {}
        self.notifying: dict[str, None] = {}

    @override
    async def judge(self, job_id: str) -> None:
        self.judging[job_id] = None

    @override
    async def notify(self, job_id: str, *, again: bool = False) -> None:
        self.notifying[job_id] = None

    @override
    async def requeue(self, job_id: str) -> None:
        self.judging[job_id] = None

    @override
    async def requeue_lost(self, job_ids: Sequence[str], *, held_s: float) -> int:
        lost = [job_id for job_id in job_ids if job_id not in self.judging]
        self.judging |= dict.fromkeys(lost)
        return len(lost)

    @override
    async def renotify_lost(self, job_ids: Sequence[str], *, held_s: float) -> int:
        lost = [job_id for job_id in job_ids if job_id not in self.notifying]
        self.notifying |= dict.fromkeys(lost)
        return len(lost)

    @override
    async def repair(self) -> int:
        return 0

    @override
    async def depth(self) -> QueueDepth:
        return QueueDepth(lag=len(self.judging) + len(self.notifying), pending=0, delayed=0)

    @override
    async def probe(self) -> None:
        return


class MemoryTicketStore(TicketStore):
    """The ticket store in memory; its content ends with the process."""

    def __init__(self) -> None:
        self._tickets: dict[str, Ticket] = {}
        self._events: dict[str, list[StoredEvent]] = defaultdict(list)
        self._owing: set[str] = set()
        self._operations: dict[str, str | None] = {}
        self._heartbeats: dict[str, int] = {}
        self._keys: dict[str, tuple[str, str]] = {}
        self._changed = asyncio.Condition()

    @override
    async def create(self, ticket: Ticket, event: Event, idempotency: Idempotency | None) -> Ticket:
        if idempotency and (used := self._keys.get(idempotency.key)) and used[1] in self._tickets:
            if used[0] != idempotency.digest:
                raise IdempotencyConflict(idempotency.key.partition(":")[2], used[1])
            return self._tickets[used[1]]
        if idempotency:
            self._keys[idempotency.key] = (idempotency.digest, ticket.id)
        await self._save(ticket, [event])
        return ticket

    @override
    async def get(self, id: str) -> Ticket:
        try:
            return self._tickets[id]
        except KeyError:
            raise UnknownTicket(id) from None

    @override
    async def update(self, id: str, change: Callable[[Ticket], Change], *, operation: str | None = None) -> Ticket:
        current = await self.get(id)
        if operation and self._operations.get(id) == operation:
            return current
        ticket, events = change(current)
        self._operations[id] = operation
        await self._save(ticket, events)
        return ticket

    @override
    async def heartbeat(self, id: str, fence: int) -> bool:
        ticket = self._tickets.get(id)
        alive = ticket is not None and ticket.state is State.RUNNING and ticket.fence == fence
        if alive:
            self._beat(id)
        return alive

    @override
    async def beat(self, id: str) -> str | None:
        at = self._heartbeats.get(id)
        return None if at is None else str(at)

    @override
    async def beats(self) -> Mapping[str, str]:
        running = (id for id in self._heartbeats if self._tickets[id].state is State.RUNNING)
        return {id: str(self._heartbeats[id]) for id in running}

    @override
    async def repair(self) -> Repairs:
        return Repairs()

    @override
    async def unreadable(self) -> int:
        return 0

    @override
    async def page(self, state: State, *, after: str | None, limit: int) -> TicketPage:
        found = [self._tickets[key] for key in sorted(self._tickets) if self._tickets[key].state is state]
        rest = [ticket for ticket in found if after is None or ticket.id > after]
        return TicketPage(tickets=tuple(rest[:limit]), after=rest[limit - 1].id if len(rest) > limit else None)

    @override
    async def owing(self, *, after: str | None, limit: int) -> TicketPage:
        found = [self._tickets[id] for id in sorted(self._owing) if after is None or id > after]
        return TicketPage(tickets=tuple(found[:limit]), after=found[limit - 1].id if len(found) > limit else None)

    @override
    async def waiting(
        self, facet: ReviewFacet, *, after: str | None, until: str | None, limit: int
    ) -> Sequence[Ticket]:
        return [ticket for ticket in self._on(facet, until) if after is None or ticket.id > after][:limit]

    @override
    async def waiting_count(self, facet: ReviewFacet, *, until: str | None) -> int:
        return len(self._on(facet, until))

    @override
    async def facet_counts(self) -> Mapping[ReviewFacet, int]:
        return Counter(facet for ticket in self._tickets.values() for facet in facets_of(ticket))

    def _on(self, facet: ReviewFacet, until: str | None) -> list[Ticket]:
        found = [self._tickets[key] for key in sorted(self._tickets) if until is None or key < until]
        return [ticket for ticket in found if facet in facets_of(ticket)]

    @override
    async def counts(self) -> Mapping[State, int]:
        states = [ticket.state for ticket in self._tickets.values()]
        return {state: states.count(state) for state in State}

    @override
    async def oldest(self) -> Mapping[State, datetime]:
        return {ticket.state: moment_of(ticket.id) for ticket in sorted(self._tickets.values(), key=_id, reverse=True)}

    @override
    async def events(self, id: str, after: str | None, *, wait_s: float | None = 0.0) -> Sequence[StoredEvent]:
        found = self._read_events(id, after)
        if not found and wait_s != 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s), self._changed:
                    await self._changed.wait_for(lambda: self._read_events(id, after))
        return self._read_events(id, after)

    @override
    async def remove(self, before: datetime) -> int:
        old = [one.id for one in self._tickets.values() if one.id < id_at(before) and one.state not in UNDECIDED]
        for id in old:
            del self._tickets[id]
            self._events.pop(id, None)
            self._owing.discard(id)
            self._operations.pop(id, None)
        return len(old)

    @override
    async def probe(self) -> None:
        return

    def _beat(self, id: str) -> None:
        self._heartbeats[id] = self._heartbeats.get(id, 0) + 1

    def _read_events(self, id: str, after: str | None) -> Sequence[StoredEvent]:
        events = self._events[id]
        start = bisect_right(events, _order(after), key=lambda event: _order(event.id)) if after else 0
        return events[start : start + 100]

    async def _save(self, ticket: Ticket, events: Sequence[Event]) -> None:
        self._tickets[ticket.id] = ticket
        if ticket.state in ACTIVE:
            self._beat(ticket.id)
        else:
            self._heartbeats.pop(ticket.id, None)
        if (owes := owes_webhook(ticket, events)) is not None:
            (self._owing.add if owes else self._owing.discard)(ticket.id)
        stored = self._events[ticket.id]
        stored += [
            StoredEvent(id=f"{len(stored) + n}-0", name=e.name, data=e.data) for n, e in enumerate(events, start=1)
        ]
        async with self._changed:
            self._changed.notify_all()


def _id(ticket: Ticket) -> str:
    return ticket.id


def _order(event_id: str) -> tuple[int, int]:
    moment, _, place = event_id.partition("-")
    return int(moment), int(place or 0)
