"""Ticket records in this process's memory: for tests and for whoever embeds the use cases."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from time import monotonic

from service.platform.errors import IdempotencyConflict, UnknownTicket
from service.tickets.ports import QueueDepth
from service.tickets.review import Shelf, shelves_of
from service.tickets.store import Change, Event, Idempotency, Page, StoredEvent
from service.tickets.ticket import ACTIVE, State, Ticket, id_at, moment_of


class MemoryQueue:
    """The ``JobQueue`` in memory: ``judging`` and ``notifying`` hold the job ids in order, each once."""

    def __init__(self) -> None:
        self.judging: dict[str, None] = {}
        self.notifying: dict[str, None] = {}

    async def judge(self, job_id: str) -> None:
        """See ``JobQueue``."""
        self.judging[job_id] = None

    async def notify(self, job_id: str) -> None:
        """See ``JobQueue``."""
        self.notifying[job_id] = None

    async def depth(self) -> QueueDepth:
        """See ``JobQueue``."""
        return QueueDepth(lag=len(self.judging) + len(self.notifying), pending=0, delayed=0)


class MemoryTicketStore:
    """The ``TicketStore`` in memory; everything is gone with the process."""

    def __init__(self) -> None:
        self._tickets: dict[str, Ticket] = {}
        self._events: dict[str, list[StoredEvent]] = defaultdict(list)
        self._operations: dict[str, str | None] = {}
        self._heard: dict[str, float] = {}
        self._keys: dict[str, tuple[str, str]] = {}
        self._news = asyncio.Condition()

    async def create(self, ticket: Ticket, event: Event, idempotency: Idempotency | None) -> Ticket:
        """See ``TicketStore``."""
        if idempotency and (held := self._keys.get(idempotency.key)) and held[1] in self._tickets:
            if held[0] != idempotency.digest:
                raise IdempotencyConflict(idempotency.key.partition(":")[2], held[1])
            return self._tickets[held[1]]
        if idempotency:
            self._keys[idempotency.key] = (idempotency.digest, ticket.id)
        await self._keep(ticket, [event])
        return ticket

    async def get(self, id: str) -> Ticket:
        """See ``TicketStore``."""
        try:
            return self._tickets[id]
        except KeyError:
            raise UnknownTicket(id) from None

    async def update(self, id: str, change: Callable[[Ticket], Change], *, operation: str | None = None) -> Ticket:
        """See ``TicketStore``."""
        held = await self.get(id)
        if operation and self._operations.get(id) == operation:
            return held
        ticket, events = change(held)
        self._operations[id] = operation
        await self._keep(ticket, events)
        return ticket

    async def beat(self, id: str, fence: int) -> bool:
        """See ``TicketStore``."""
        ticket = self._tickets.get(id)
        alive = ticket is not None and ticket.state is State.RUNNING and ticket.fence == fence
        if alive:
            self._heard[id] = monotonic()
        return alive

    async def silence_s(self, id: str) -> float | None:
        """See ``TicketStore``."""
        heard = self._heard.get(id)
        return None if heard is None else monotonic() - heard

    async def quiet(self, for_s: float) -> Sequence[Ticket]:
        """See ``TicketStore``."""
        now = monotonic()
        quiet = [id for id, heard in self._heard.items() if now - heard >= for_s]
        self._heard |= dict.fromkeys(quiet, now)
        return [self._tickets[id] for id in quiet]

    async def page(self, state: State, *, after: str | None, limit: int) -> Page:
        """See ``TicketStore``."""
        found = [self._tickets[key] for key in sorted(self._tickets) if self._tickets[key].state is state]
        rest = [ticket for ticket in found if after is None or ticket.id > after]
        return Page(tickets=tuple(rest[:limit]), after=rest[limit - 1].id if len(rest) > limit else None)

    async def waiting(self, shelf: Shelf, *, after: str | None, until: str | None, limit: int) -> Sequence[Ticket]:
        """See ``TicketStore``."""
        return [ticket for ticket in self._on(shelf, until) if after is None or ticket.id > after][:limit]

    async def waiting_count(self, shelf: Shelf, *, until: str | None) -> int:
        """See ``TicketStore``."""
        return len(self._on(shelf, until))

    async def shelves(self) -> Mapping[Shelf, int]:
        """See ``TicketStore``."""
        return Counter(shelf for ticket in self._tickets.values() for shelf in shelves_of(ticket))

    def _on(self, shelf: Shelf, until: str | None) -> list[Ticket]:
        found = [self._tickets[key] for key in sorted(self._tickets) if until is None or key < until]
        return [ticket for ticket in found if shelf in shelves_of(ticket)]

    async def counts(self) -> Mapping[State, int]:
        """See ``TicketStore``."""
        states = [ticket.state for ticket in self._tickets.values()]
        return {state: states.count(state) for state in State}

    async def oldest(self) -> Mapping[State, datetime]:
        """See ``TicketStore``."""
        return {ticket.state: moment_of(ticket.id) for ticket in sorted(self._tickets.values(), key=_id, reverse=True)}

    async def events(self, id: str, after: str | None, *, wait_s: float = 0.0) -> Sequence[StoredEvent]:
        """See ``TicketStore``."""
        found = self._behind(id, after)
        if not found and wait_s:
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s), self._news:
                    await self._news.wait_for(lambda: self._behind(id, after))
        return self._behind(id, after)

    async def remove(self, before: datetime) -> int:
        """See ``TicketStore``."""
        old = [g.id for g in self._tickets.values() if g.id < id_at(before) and g.state not in ACTIVE]
        for id in old:
            del self._tickets[id]
            self._events.pop(id, None)
            self._operations.pop(id, None)
        return len(old)

    async def ping(self) -> None:
        """See ``TicketStore``."""

    def _behind(self, id: str, after: str | None) -> Sequence[StoredEvent]:
        events = self._events[id]
        start = bisect_right(events, _order(after), key=lambda event: _order(event.id)) if after else 0
        return events[start : start + 100]

    async def _keep(self, ticket: Ticket, events: Sequence[Event]) -> None:
        self._tickets[ticket.id] = ticket
        if ticket.state in ACTIVE:
            self._heard[ticket.id] = monotonic()
        else:
            self._heard.pop(ticket.id, None)
        kept = self._events[ticket.id]
        kept += [StoredEvent(id=f"{len(kept) + n}-0", name=e.name, data=e.data) for n, e in enumerate(events, start=1)]
        async with self._news:
            self._news.notify_all()


def _id(ticket: Ticket) -> str:
    return ticket.id


def _order(event_id: str) -> tuple[int, int]:
    moment, _, place = event_id.partition("-")
    return int(moment), int(place or 0)
