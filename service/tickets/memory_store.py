"""Group records in this process's memory: for tests and for whoever embeds the use cases."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from time import monotonic

from service.platform.errors import IdempotencyConflict, UnknownGroup
from service.tickets.ports import QueueDepth
from service.tickets.review import Shelf, shelves_of
from service.tickets.store import Change, Event, Idempotency, Page, StoredEvent
from service.tickets.ticket import ACTIVE, Group, State, id_at, moment_of


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


class MemoryGroupStore:
    """The ``GroupStore`` in memory; everything is gone with the process."""

    def __init__(self) -> None:
        self._groups: dict[str, Group] = {}
        self._events: dict[str, list[StoredEvent]] = defaultdict(list)
        self._operations: dict[str, str | None] = {}
        self._heard: dict[str, float] = {}
        self._keys: dict[str, tuple[str, str]] = {}
        self._news = asyncio.Condition()

    async def create(self, group: Group, event: Event, idempotency: Idempotency | None) -> Group:
        """See ``GroupStore``."""
        if idempotency and (held := self._keys.get(idempotency.key)) and held[1] in self._groups:
            if held[0] != idempotency.digest:
                raise IdempotencyConflict(idempotency.key.partition(":")[2], held[1])
            return self._groups[held[1]]
        if idempotency:
            self._keys[idempotency.key] = (idempotency.digest, group.id)
        await self._keep(group, [event])
        return group

    async def get(self, group_id: str) -> Group:
        """See ``GroupStore``."""
        try:
            return self._groups[group_id]
        except KeyError:
            raise UnknownGroup(group_id) from None

    async def update(self, group_id: str, change: Callable[[Group], Change], *, operation: str | None = None) -> Group:
        """See ``GroupStore``."""
        held = await self.get(group_id)
        if operation and self._operations.get(group_id) == operation:
            return held
        group, events = change(held)
        self._operations[group_id] = operation
        await self._keep(group, events)
        return group

    async def beat(self, group_id: str, fence: int) -> bool:
        """See ``GroupStore``."""
        group = self._groups.get(group_id)
        alive = group is not None and group.state is State.RUNNING and group.fence == fence
        if alive:
            self._heard[group_id] = monotonic()
        return alive

    async def silence_s(self, group_id: str) -> float | None:
        """See ``GroupStore``."""
        heard = self._heard.get(group_id)
        return None if heard is None else monotonic() - heard

    async def quiet(self, for_s: float) -> Sequence[Group]:
        """See ``GroupStore``."""
        now = monotonic()
        quiet = [group_id for group_id, heard in self._heard.items() if now - heard >= for_s]
        self._heard |= dict.fromkeys(quiet, now)
        return [self._groups[group_id] for group_id in quiet]

    async def page(self, state: State, *, after: str | None, limit: int) -> Page:
        """See ``GroupStore``."""
        found = [self._groups[key] for key in sorted(self._groups) if self._groups[key].state is state]
        rest = [group for group in found if after is None or group.id > after]
        return Page(groups=tuple(rest[:limit]), after=rest[limit - 1].id if len(rest) > limit else None)

    async def waiting(self, shelf: Shelf, *, after: str | None, until: str | None, limit: int) -> Sequence[Group]:
        """See ``GroupStore``."""
        return [group for group in self._on(shelf, until) if after is None or group.id > after][:limit]

    async def waiting_count(self, shelf: Shelf, *, until: str | None) -> int:
        """See ``GroupStore``."""
        return len(self._on(shelf, until))

    async def shelves(self) -> Mapping[Shelf, int]:
        """See ``GroupStore``."""
        return Counter(shelf for group in self._groups.values() for shelf in shelves_of(group))

    def _on(self, shelf: Shelf, until: str | None) -> list[Group]:
        found = [self._groups[key] for key in sorted(self._groups) if until is None or key < until]
        return [group for group in found if shelf in shelves_of(group)]

    async def counts(self) -> Mapping[State, int]:
        """See ``GroupStore``."""
        states = [group.state for group in self._groups.values()]
        return {state: states.count(state) for state in State}

    async def oldest(self) -> Mapping[State, datetime]:
        """See ``GroupStore``."""
        return {group.state: moment_of(group.id) for group in sorted(self._groups.values(), key=_id, reverse=True)}

    async def events(self, group_id: str, after: str | None, *, wait_s: float = 0.0) -> Sequence[StoredEvent]:
        """See ``GroupStore``."""
        found = self._behind(group_id, after)
        if not found and wait_s:
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s), self._news:
                    await self._news.wait_for(lambda: self._behind(group_id, after))
        return self._behind(group_id, after)

    async def remove(self, before: datetime) -> int:
        """See ``GroupStore``."""
        old = [g.id for g in self._groups.values() if g.id < id_at(before) and g.state not in ACTIVE]
        for group_id in old:
            del self._groups[group_id]
            self._events.pop(group_id, None)
            self._operations.pop(group_id, None)
        return len(old)

    async def ping(self) -> None:
        """See ``GroupStore``."""

    def _behind(self, group_id: str, after: str | None) -> Sequence[StoredEvent]:
        events = self._events[group_id]
        start = bisect_right(events, _order(after), key=lambda event: _order(event.id)) if after else 0
        return events[start : start + 100]

    async def _keep(self, group: Group, events: Sequence[Event]) -> None:
        self._groups[group.id] = group
        if group.state in ACTIVE:
            self._heard[group.id] = monotonic()
        else:
            self._heard.pop(group.id, None)
        kept = self._events[group.id]
        kept += [StoredEvent(id=f"{len(kept) + n}-0", name=e.name, data=e.data) for n, e in enumerate(events, start=1)]
        async with self._news:
            self._news.notify_all()


def _id(group: Group) -> str:
    return group.id


def _order(event_id: str) -> tuple[int, int]:
    moment, _, place = event_id.partition("-")
    return int(moment), int(place or 0)
