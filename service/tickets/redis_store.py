"""Ticket records, their events and indices in Redis (7.0 and later, or Valkey).

Reads are plain commands, a change is one script (``redis_scripts``), on keys that ``redis_keys`` names. A change also
publishes the name of the event stream, for those that follow it (``redis_notifications``).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import cast
from uuid import uuid4

from pydantic import TypeAdapter
from redis.asyncio import Redis

from service.platform.errors import IdempotencyConflict, UnknownTicket
from service.platform.redis_client import answering
from service.tickets.redis_keys import TicketKeys, shelf_name, shelf_of
from service.tickets.redis_notifications import EventNotifier
from service.tickets.redis_scripts import TicketScripts
from service.tickets.review import Shelf, shelves_of
from service.tickets.store import Change, Event, Idempotency, Page, StoredEvent
from service.tickets.ticket import ACTIVE, State, Ticket, id_at, moment_of

IDEMPOTENCY_TTL_S = 7 * 24 * 3600
"""How long an Idempotency-Key is remembered."""
_SWEEP = 1000
"""Most quiet tickets looked at in one sweep."""
_RECORD = TypeAdapter(Ticket)
_Entries = Sequence[tuple[str, Mapping[str, str]]]
_Streams = Sequence[tuple[str, _Entries]]


@asynccontextmanager
async def redis_ticket_store(redis: Redis) -> AsyncGenerator[RedisTicketStore, None]:
    """The store, hearing of changes by whichever process inside the block."""
    store = RedisTicketStore(redis)
    listening = asyncio.ensure_future(store.news.listen())
    try:
        yield store
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


class RedisTicketStore:
    """The ``TicketStore`` on Redis. Waiting for events ends with the next one only while ``news`` is listened to."""

    def __init__(self, redis: Redis, prefix: str = "vqc") -> None:
        self._redis = redis
        self._key = TicketKeys(prefix=prefix)
        self._scripts = TicketScripts(redis)
        self.news = EventNotifier(redis, self._key.events("*"))

    async def create(self, ticket: Ticket, event: Event, idempotency: Idempotency | None) -> Ticket:
        """See ``TicketStore``."""
        key, digest = (idempotency.key, idempotency.digest) if idempotency else ("", "")
        keys = [
            self._key.ticket(ticket.id),
            self._key.events(ticket.id),
            self._key.state(ticket.state),
            self._key.active,
            self._key.idempotency(key),
        ]
        values = [digest, IDEMPOTENCY_TTL_S, ticket.id, ticket.state, ticket.fence, _dumped(ticket)]
        with answering():
            held: str = await self._scripts.create(keys=keys, args=[*values, *_event(event), self._key.ticket("")])
        held_digest, _, id = held.partition(" ")
        if held_digest != digest:
            raise IdempotencyConflict(key.partition(":")[2], id)
        return ticket if id == ticket.id else await self.get(id)

    async def get(self, id: str) -> Ticket:
        """See ``TicketStore``."""
        return (await self._held(id))[2]

    async def update(self, id: str, change: Callable[[Ticket], Change], *, operation: str | None = None) -> Ticket:
        """See ``TicketStore``."""
        operation = operation or uuid4().hex  # the client too sends a call again where it had no answer
        while True:
            version, last, before = await self._held(id)
            if last == operation:
                return before
            after, events = change(before)
            keys = [
                self._key.ticket(id),
                self._key.events(id),
                self._key.state(before.state),
                self._key.state(after.state),
                self._key.active,
                self._key.shelves,
            ]
            active = int(after.state in ACTIVE)
            values = [
                version,
                operation,
                id,
                after.state,
                after.fence,
                _dumped(after),
                active,
                self._key.shelf(""),
            ]
            left, taken = shelves_of(before) - shelves_of(after), shelves_of(after) - shelves_of(before)
            values += [len(left), len(taken), *map(shelf_name, left), *map(shelf_name, taken)]
            with answering():
                done = await self._scripts.update(
                    keys=keys, args=[*values, *(part for event in events for part in _event(event))]
                )
            if done == 1:
                return after
            if done == -1:
                raise UnknownTicket(id)

    async def beat(self, id: str, fence: int) -> bool:
        """See ``TicketStore``."""
        with answering():
            keys = [self._key.ticket(id), self._key.active]
            return bool(await self._scripts.beat(keys=keys, args=[fence, id]))

    async def silence_s(self, id: str) -> float | None:
        """See ``TicketStore``."""
        with answering():
            silence = await self._scripts.silence(keys=[self._key.active], args=[id])
        return None if silence is None else float(silence)

    async def quiet(self, for_s: float) -> Sequence[Ticket]:
        """See ``TicketStore``."""
        with answering():
            ids = await self._scripts.quiet(keys=[self._key.active], args=[for_s, _SWEEP])
        return await self._records(ids)

    async def page(self, state: State, *, after: str | None, limit: int) -> Page:
        """See ``TicketStore``."""
        lowest = f"({after}" if after else "-"
        with answering():
            found = await self._redis.zrangebylex(self._key.state(state), lowest, "+", start=0, num=limit + 1)
        ids = cast(list[str], found)
        tickets = await self._records(ids[:limit])
        return Page(tickets=tuple(tickets), after=ids[limit - 1] if len(ids) > limit else None)

    async def waiting(self, shelf: Shelf, *, after: str | None, until: str | None, limit: int) -> Sequence[Ticket]:
        """See ``TicketStore``."""
        lowest, highest = f"({after}" if after else "-", f"({until}" if until else "+"
        with answering():
            key = self._key.shelf(shelf_name(shelf))
            found = await self._redis.zrangebylex(key, lowest, highest, start=0, num=limit)
        return await self._records(cast(list[str], found))

    async def waiting_count(self, shelf: Shelf, *, until: str | None) -> int:
        """See ``TicketStore``."""
        with answering():
            found = await self._redis.zlexcount(self._key.shelf(shelf_name(shelf)), "-", f"({until}" if until else "+")
        return cast(int, found)

    async def shelves(self) -> Mapping[Shelf, int]:
        """See ``TicketStore``."""
        with answering():
            names = sorted(cast(set[str], await self._redis.smembers(self._key.shelves)))  # type: ignore[misc]
            async with self._redis.pipeline(transaction=False) as pipeline:
                for name in names:
                    pipeline.zcard(self._key.shelf(name))
                sizes = dict(zip(names, await pipeline.execute(), strict=True))
        return {shelf_of(name): size for name, size in sizes.items() if size}

    async def counts(self) -> Mapping[State, int]:
        """See ``TicketStore``."""
        with answering():
            async with self._redis.pipeline(transaction=False) as pipeline:
                for state in State:
                    pipeline.zcard(self._key.state(state))
                return dict(zip(State, await pipeline.execute(), strict=True))

    async def oldest(self) -> Mapping[State, datetime]:
        """See ``TicketStore``."""
        with answering():
            async with self._redis.pipeline(transaction=False) as pipeline:
                for state in State:
                    pipeline.zrange(self._key.state(state), 0, 0)
                first = cast(Sequence[Sequence[str]], await pipeline.execute())
        return {state: moment_of(ids[0]) for state, ids in zip(State, first, strict=True) if ids}

    async def events(self, id: str, after: str | None, *, wait_s: float = 0.0) -> Sequence[StoredEvent]:
        """See ``TicketStore``."""
        until = asyncio.get_running_loop().time() + wait_s
        with self.news.bell(self._key.events(id)) as bell:  # before the first look, so that nothing falls between
            while not (found := await self._behind(id, after)) and wait_s:
                try:
                    async with asyncio.timeout_at(until):
                        await bell.wait()
                except TimeoutError:
                    break
                bell.clear()
        return found

    async def remove(self, before: datetime) -> int:
        """See ``TicketStore``."""
        removed = 0
        for state in set(State) - ACTIVE:
            with answering():
                end = f"({id_at(before)}"
                old = await self._redis.zrangebylex(self._key.state(state), "-", end, start=0, num=_SWEEP)
                ids = cast(list[str], old)
                on = {ticket.id: shelves_of(ticket) for ticket in await self._records(ids)}
                for id in ids:
                    gone = [self._key.ticket(id), self._key.events(id)]
                    shelves = map(shelf_name, on.get(id, ()))
                    await self._scripts.remove(
                        keys=[*gone, self._key.state(state), self._key.shelves],
                        args=[id, self._key.shelf(""), *shelves],
                    )
            removed += len(ids)
        return removed

    async def ping(self) -> None:
        """See ``TicketStore``."""
        with answering():
            await self._redis.ping()  # type: ignore[misc]

    async def _behind(self, id: str, after: str | None) -> Sequence[StoredEvent]:
        with answering():
            found = await self._redis.xread({self._key.events(id): after or "0-0"}, count=100)
        return [_stored(*entry) for _, entries in cast(_Streams, found or []) for entry in entries]

    async def _held(self, id: str) -> tuple[str, str | None, Ticket]:
        """The version, the last operation and the record."""
        with answering():
            held = await self._redis.hmget(self._key.ticket(id), ["version", "op", "record"])  # type: ignore[misc]
        version, operation, record = cast(list[str | None], held)
        if version is None or record is None:
            raise UnknownTicket(id)
        return version, operation, _RECORD.validate_json(record)

    async def _records(self, ids: Sequence[str]) -> Sequence[Ticket]:
        """The records there are; one that was removed meanwhile is left out."""
        with answering():
            async with self._redis.pipeline(transaction=False) as pipeline:
                for id in ids:
                    pipeline.hget(self._key.ticket(id), "record")
                return [_RECORD.validate_json(record) for record in await pipeline.execute() if record]


def _dumped(ticket: Ticket) -> str:
    return _RECORD.dump_json(ticket).decode()


def _event(event: Event) -> tuple[str, str]:
    return event.name, json.dumps(event.data, ensure_ascii=False)


def _stored(entry_id: str, fields: Mapping[str, str]) -> StoredEvent:
    return StoredEvent(id=entry_id, name=fields["name"], data=json.loads(fields["data"]))
