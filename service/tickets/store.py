"""The port to where ticket records and their events live. Two adapters: Redis, and memory for tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from service.tickets.review import Shelf
from service.tickets.ticket import JsonObject, State, Ticket


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened to a ticket, as its watchers hear it."""

    name: str
    data: JsonObject = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEvent:
    """An event with its id; ids grow, and reading goes on after any of them."""

    id: str
    name: str
    data: JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class Idempotency:
    """A caller's key and the digest of the ticket that it stands for."""

    key: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Some tickets, oldest first; ``after`` continues behind them, None at the end."""

    tickets: tuple[Ticket, ...]
    after: str | None


Change = tuple[Ticket, Sequence[Event]]


class TicketStore(Protocol):
    """Keeps ticket records; every change is a compare-and-set of the whole record together with its events.

    Every call raises ``QueueUnavailable`` when the store does not answer.
    """

    async def create(self, ticket: Ticket, event: Event, idempotency: Idempotency | None) -> Ticket:
        """Keeps a new ticket, or gives the one that the key was first used for. Raises ``IdempotencyConflict``."""
        ...

    async def get(self, id: str) -> Ticket:
        """The record. Raises ``UnknownTicket``."""
        ...

    async def update(self, id: str, change: Callable[[Ticket], Change], *, operation: str | None = None) -> Ticket:
        """Applies ``change`` to the record as it is, again if somebody was faster; what it raises goes through.

        Asked again under the name ``operation``, because an answer was lost, what was done last is not done twice.
        """
        ...

    async def beat(self, id: str, fence: int) -> bool:
        """Whether the claim is still in force; if so the ticket counts as alive from now."""
        ...

    async def silence_s(self, id: str) -> float | None:
        """Seconds since the ticket was last heard of, by the store's own clock; None when it is not active."""
        ...

    async def quiet(self, for_s: float) -> Sequence[Ticket]:
        """The active tickets of which nothing was heard for so many seconds; each is then heard of now."""
        ...

    async def page(self, state: State, *, after: str | None, limit: int) -> Page:
        """The tickets in a state, in the order of their acceptance."""
        ...

    async def waiting(self, shelf: Shelf, *, after: str | None, until: str | None, limit: int) -> Sequence[Ticket]:
        """The tickets that wait for a person on a shelf, oldest first: behind the id ``after``, before the id ``until``."""
        ...

    async def waiting_count(self, shelf: Shelf, *, until: str | None) -> int:
        """How many they are."""
        ...

    async def shelves(self) -> Mapping[Shelf, int]:
        """Every shelf with something on it, and how much. As many as missions, models and risks have combinations."""
        ...

    async def counts(self) -> Mapping[State, int]:
        """How many tickets are in each state."""
        ...

    async def oldest(self) -> Mapping[State, datetime]:
        """When the oldest ticket of each state was accepted, of the states that have any."""
        ...

    async def events(self, id: str, after: str | None, *, wait_s: float = 0.0) -> Sequence[StoredEvent]:
        """The events behind ``after``, a hundred at most; where there are none, those of the next ``wait_s``."""
        ...

    async def remove(self, before: datetime) -> int:
        """Forgets the finished tickets accepted before a moment; how many."""
        ...

    async def ping(self) -> None:
        """Returns when the store answers."""
        ...
