"""The port of the store of ticket records and their events. It has two adapters: Redis and, for tests, memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from service.tickets.review import ReviewFacet
from service.tickets.ticket import ACTIVE, JsonObject, State, Ticket


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened to a ticket, for those who follow it."""

    name: str
    data: JsonObject = field(default_factory=dict)


FINISHED = "finished"
"""The name of the event that ends a run."""


def finished_event(state: State, run: int, at: datetime, **data: object) -> Event:
    """The event that ends a run; followers stop after it."""
    return Event(name=FINISHED, data={"state": state, "run": run, "at": at.isoformat(), **data})


WEBHOOK_ENDS = frozenset({"webhook_delivered", "webhook_failed"})
"""The events after which a run owes no webhook any more."""


def owes_webhook(after: Ticket, events: Sequence[Event]) -> bool | None:
    """Whether a ticket owes its webhook after a change with these events; None if the change says nothing about it."""
    names = {event.name for event in events}
    if after.state in ACTIVE or names & WEBHOOK_ENDS:
        return False
    return True if after.webhook and "finished" in names else None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEvent:
    """An event with its id. Ids grow, and a reader can resume after any of them."""

    id: str
    name: str
    data: JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class Idempotency:
    """A caller's key and the digest of the ticket that it was used for."""

    key: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketPage:
    """Some tickets, oldest first. ``after`` continues behind them; None on the last page."""

    tickets: tuple[Ticket, ...]
    after: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Repairs:
    """What a round of ``repair`` has corrected: the index entries of so many records; so many set aside or returned."""

    reindexed: int = 0
    set_aside: int = 0
    returned: int = 0

    def __bool__(self) -> bool:
        return bool(self.reindexed or self.set_aside or self.returned)


Change = tuple[Ticket, Sequence[Event]]
"""The next record of a ticket and the events that go with it."""


class TicketStore(Protocol):
    """Stores ticket records. Every change is a compare-and-set of the whole record together with its events.

    Every call raises ``QueueUnavailable`` when the store does not answer or refuses. A call that names a ticket raises
    ``RecordUnreadable`` if its record cannot be read; a call that returns several leaves such a record out and sets it aside.
    """

    async def create(self, ticket: Ticket, event: Event, idempotency: Idempotency | None) -> Ticket:
        """Stores a new ticket, or returns the one that the key was used for first. Raises ``IdempotencyConflict``."""
        ...

    async def get(self, id: str) -> Ticket:
        """The record. Raises ``UnknownTicket``."""
        ...

    async def update(self, id: str, change: Callable[[Ticket], Change], *, operation: str | None = None) -> Ticket:
        """Applies ``change`` to the current record, again if another write came first; its exceptions pass through.

        A caller that got no answer repeats the call with the same ``operation``: a change that was made is not made twice.
        """
        ...

    async def heartbeat(self, id: str, fence: int) -> bool:
        """Renews the lease of a claim; False if the claim with this fence is no longer active."""
        ...

    async def beat(self, id: str) -> str | None:
        """The last heartbeat or change of an active ticket: a text that differs from every one before. None for others.

        It is no time. How old it is, only a process that watches it can say by its own clock (``HeartbeatWatch``).
        """
        ...

    async def beats(self) -> Mapping[str, str]:
        """``beat`` of every running ticket, by its id."""
        ...

    async def repair(self) -> Repairs:
        """Compares the next part of the records with the indices, and corrects the indices: the records are the truth.

        Called again and again it gets through all records. What cannot be read is set aside, and what can be again returns.
        """
        ...

    async def unreadable(self) -> int:
        """The number of records that are set aside because they cannot be read."""
        ...

    async def page(self, state: State, *, after: str | None, limit: int) -> TicketPage:
        """The tickets in a state, in the order of their acceptance."""
        ...

    async def owing(self, *, after: str | None, limit: int) -> TicketPage:
        """The finished tickets whose webhook is neither delivered nor given up."""
        ...

    async def waiting(
        self, facet: ReviewFacet, *, after: str | None, until: str | None, limit: int
    ) -> Sequence[Ticket]:
        """The tickets of a facet that wait for a review, oldest first: behind the id ``after``, before the id ``until``."""
        ...

    async def waiting_count(self, facet: ReviewFacet, *, until: str | None) -> int:
        """The number of tickets of a facet that wait for a review, with ids before ``until``."""
        ...

    async def facet_counts(self) -> Mapping[ReviewFacet, int]:
        """The number of waiting tickets of every facet that has any: one entry per mission, model and risk in the queue."""
        ...

    async def counts(self) -> Mapping[State, int]:
        """The number of tickets in each state."""
        ...

    async def oldest(self) -> Mapping[State, datetime]:
        """The time when the oldest ticket of each state was accepted; states without tickets are left out."""
        ...

    async def events(self, id: str, after: str | None, *, wait_s: float | None = 0.0) -> Sequence[StoredEvent]:
        """At most 100 events behind ``after``. If there are none, it waits up to ``wait_s`` for the next ones.

        None waits as long as it takes, through outages of the store, and costs nothing while nothing happens.
        """
        ...

    async def remove(self, before: datetime) -> int:
        """Deletes tickets that were accepted before a time and wait for no worker and no person; returns their number."""
        ...

    async def probe(self) -> None:
        """Returns when the store accepts what a new ticket writes. Leaves nothing behind."""
        ...
