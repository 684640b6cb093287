"""The port to where group records and their events live. Two adapters: Redis, and memory for tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from service.tickets.review import Shelf
from service.tickets.ticket import Group, JsonObject, State


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened to a group, as its watchers hear it."""

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
    """Some groups, oldest first; ``after`` continues behind them, None at the end."""

    groups: tuple[Group, ...]
    after: str | None


Change = tuple[Group, Sequence[Event]]


class GroupStore(Protocol):
    """Keeps group records; every change is a compare-and-set of the whole record together with its events.

    Every call raises ``QueueUnavailable`` when the store does not answer.
    """

    async def create(self, group: Group, event: Event, idempotency: Idempotency | None) -> Group:
        """Keeps a new group, or gives the one that the key was first used for. Raises ``IdempotencyConflict``."""
        ...

    async def get(self, group_id: str) -> Group:
        """The record. Raises ``UnknownGroup``."""
        ...

    async def update(self, group_id: str, change: Callable[[Group], Change], *, operation: str | None = None) -> Group:
        """Applies ``change`` to the record as it is, again if somebody was faster; what it raises goes through.

        Asked again under the name ``operation``, because an answer was lost, what was done last is not done twice.
        """
        ...

    async def beat(self, group_id: str, fence: int) -> bool:
        """Whether the claim is still in force; if so the group counts as alive from now."""
        ...

    async def silence_s(self, group_id: str) -> float | None:
        """Seconds since the group was last heard of, by the store's own clock; None when it is not active."""
        ...

    async def quiet(self, for_s: float) -> Sequence[Group]:
        """The active groups of which nothing was heard for so many seconds; each is then heard of now."""
        ...

    async def page(self, state: State, *, after: str | None, limit: int) -> Page:
        """The groups in a state, in the order of their acceptance."""
        ...

    async def waiting(self, shelf: Shelf, *, after: str | None, until: str | None, limit: int) -> Sequence[Group]:
        """The groups that wait for a person on a shelf, oldest first: behind the id ``after``, before the id ``until``."""
        ...

    async def waiting_count(self, shelf: Shelf, *, until: str | None) -> int:
        """How many they are."""
        ...

    async def shelves(self) -> Mapping[Shelf, int]:
        """Every shelf with something on it, and how much. As many as missions, models and risks have combinations."""
        ...

    async def counts(self) -> Mapping[State, int]:
        """How many groups are in each state."""
        ...

    async def oldest(self) -> Mapping[State, datetime]:
        """When the oldest group of each state was accepted, of the states that have any."""
        ...

    async def events(self, group_id: str, after: str | None, *, wait_s: float = 0.0) -> Sequence[StoredEvent]:
        """The events behind ``after``, a hundred at most; where there are none, those of the next ``wait_s``."""
        ...

    async def remove(self, before: datetime) -> int:
        """Forgets the finished groups accepted before a moment; how many."""
        ...

    async def ping(self) -> None:
        """Returns when the store answers."""
        ...
