"""Stores ticket records, their events and indices in Redis (7.0 and later, or Valkey).

A read is a plain command, a change is one script (``redis_scripts``); ``redis_keys`` names the keys. A change is also
announced to those who follow the ticket (``redis_notifications``).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import cast
from uuid import uuid4

from redis.asyncio import Redis
from typing_extensions import override

from service.platform.errors import IdempotencyConflict, QueueUnavailable, RecordUnreadable, UnknownTicket
from service.platform.redis_answers import WRONG_TYPE, code_of, unavailable
from service.platform.redis_client import answering
from service.tickets.redis_keys import TicketKeys, facet_name, parse_facet
from service.tickets.redis_notifications import EventNotifier
from service.tickets.redis_repair import RecordRepair, parse_record, record_json
from service.tickets.redis_scripts import TicketScripts
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

IDEMPOTENCY_TTL_S = 7 * 24 * 3600
"""How long an Idempotency-Key is valid."""
_BATCH = 1000
"""The most tickets that one call of maintenance handles."""
_Entries = Sequence[tuple[str, Mapping[str, str]]]
_Streams = Sequence[tuple[str, _Entries]]


@asynccontextmanager
async def redis_ticket_store(redis: Redis) -> AsyncGenerator[RedisTicketStore, None]:
    """The store; inside the block it is notified of changes that any process makes."""
    store = RedisTicketStore(redis)
    listening = asyncio.ensure_future(store.notifier.listen())
    try:
        yield store
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


class RedisTicketStore(TicketStore):
    """The ticket store on Redis. While ``notifier`` listens, waiting for events ends with the next one."""

    def __init__(self, redis: Redis, prefix: str = "vqc") -> None:
        self._redis = redis
        self._keys = TicketKeys(prefix=prefix)
        self._scripts = TicketScripts(redis)
        self._repair = RecordRepair(redis, self._keys, self._scripts)
        self.notifier = EventNotifier(redis, self._keys.events("*"))
        self._reads: dict[tuple[str, str | None], asyncio.Future[Sequence[StoredEvent]]] = {}

    @override
    async def create(self, ticket: Ticket, event: Event, idempotency: Idempotency | None) -> Ticket:
        key, digest = (idempotency.key, idempotency.digest) if idempotency else ("", "")
        keys = [
            self._keys.ticket(ticket.id),
            self._keys.events(ticket.id),
            self._keys.state(ticket.state),
            self._keys.active,
            self._keys.idempotency(key),
        ]
        values = [digest, IDEMPOTENCY_TTL_S, ticket.id, ticket.state, ticket.fence, record_json(ticket)]
        with answering():
            held: str = await self._scripts.create(
                keys=keys, args=[*values, *_event_args(event), self._keys.ticket("")]
            )
        held_digest, _, id = held.partition(" ")
        if held_digest != digest:
            raise IdempotencyConflict(key.partition(":")[2], id)
        return ticket if id == ticket.id else await self.get(id)

    @override
    async def get(self, id: str) -> Ticket:
        return (await self._read(id))[2]

    @override
    async def update(self, id: str, change: Callable[[Ticket], Change], *, operation: str | None = None) -> Ticket:
        operation = operation or uuid4().hex  # the Redis client, too, repeats a call that got no answer
        while True:
            version, last, before = await self._read(id)
            if last == operation:
                return before
            after, events = change(before)
            keys = [
                self._keys.ticket(id),
                self._keys.events(id),
                self._keys.state(before.state),
                self._keys.state(after.state),
                self._keys.active,
                self._keys.facets,
                self._keys.owing,
            ]
            active = int(after.state in ACTIVE)
            values = [
                version,
                operation,
                id,
                after.state,
                after.fence,
                record_json(after),
                active,
                self._keys.facet(""),
            ]
            left, taken = facets_of(before) - facets_of(after), facets_of(after) - facets_of(before)
            values += [len(left), len(taken), _owes(after, events), *map(facet_name, left), *map(facet_name, taken)]
            with answering():
                done = await self._scripts.update(
                    keys=keys, args=[*values, *(part for event in events for part in _event_args(event))]
                )
            if done == 1:
                return after
            if done == -1:
                raise UnknownTicket(id)
            # 0: another write came first. The change is computed again, from the record of that write.

    @override
    async def heartbeat(self, id: str, fence: int) -> bool:
        with answering():
            keys = [self._keys.ticket(id), self._keys.active]
            return bool(await self._scripts.heartbeat(keys=keys, args=[fence, id]))

    @override
    async def beat(self, id: str) -> str | None:
        with answering():
            async with self._redis.pipeline(transaction=False) as pipeline:
                pipeline.hget(self._keys.ticket(id), "state")
                pipeline.zscore(self._keys.active, id)
                state, score = await pipeline.execute()
        # An index that was lost says nothing about the worker: its next heartbeat is written there again.
        return repr(score) if state in ACTIVE else None

    @override
    async def beats(self) -> Mapping[str, str]:
        with answering():
            ids = cast(list[str], await self._redis.zrange(self._keys.state(State.RUNNING), 0, -1))
            scores = await self._redis.zmscore(self._keys.active, ids) if ids else []
        return {id: repr(score) for id, score in zip(ids, cast(list[float | None], scores), strict=True)}

    @override
    async def owing(self, *, after: str | None, limit: int) -> TicketPage:
        return await self._page(self._keys.owing, after, limit)

    @override
    async def repair(self) -> Repairs:
        return await self._repair()

    @override
    async def unreadable(self) -> int:
        with answering():
            return cast(int, await self._redis.zcard(self._keys.unreadable))

    @override
    async def page(self, state: State, *, after: str | None, limit: int) -> TicketPage:
        return await self._page(self._keys.state(state), after, limit)

    @override
    async def waiting(
        self, facet: ReviewFacet, *, after: str | None, until: str | None, limit: int
    ) -> Sequence[Ticket]:
        lowest, highest = f"({after}" if after else "-", f"({until}" if until else "+"
        with answering():
            key = self._keys.facet(facet_name(facet))
            found = await self._redis.zrangebylex(key, lowest, highest, start=0, num=limit)
        return await self._records(cast(list[str], found))

    @override
    async def waiting_count(self, facet: ReviewFacet, *, until: str | None) -> int:
        with answering():
            found = await self._redis.zlexcount(self._keys.facet(facet_name(facet)), "-", f"({until}" if until else "+")
        return cast(int, found)

    @override
    async def facet_counts(self) -> Mapping[ReviewFacet, int]:
        with answering():
            names = sorted(cast(set[str], await self._redis.smembers(self._keys.facets)))  # type: ignore[misc]
            async with self._redis.pipeline(transaction=False) as pipeline:
                for name in names:
                    pipeline.zcard(self._keys.facet(name))
                sizes = dict(zip(names, await pipeline.execute(), strict=True))
        return {facet: size for name, size in sizes.items() if size and (facet := parse_facet(name))}

    @override
    async def counts(self) -> Mapping[State, int]:
        with answering():
            async with self._redis.pipeline(transaction=False) as pipeline:
                for state in State:
                    pipeline.zcard(self._keys.state(state))
                return dict(zip(State, await pipeline.execute(), strict=True))

    @override
    async def oldest(self) -> Mapping[State, datetime]:
        with answering():
            async with self._redis.pipeline(transaction=False) as pipeline:
                for state in State:
                    pipeline.zrange(self._keys.state(state), 0, 0)
                first = cast(Sequence[Sequence[str]], await pipeline.execute())
        moments = {state: _moment(ids[0]) for state, ids in zip(State, first, strict=True) if ids}
        return {state: moment for state, moment in moments.items() if moment}

    @override
    async def events(self, id: str, after: str | None, *, wait_s: float | None = 0.0) -> Sequence[StoredEvent]:
        until = None if wait_s is None else asyncio.get_running_loop().time() + wait_s
        # Subscribed before the first read, so that no event is missed.
        with self.notifier.subscribe(self._keys.events(id), after) as changed:
            while not (found := await self._read_events(id, after, patient=wait_s is None)) and wait_s != 0:
                try:
                    async with asyncio.timeout_at(until):
                        await changed.wait()
                except TimeoutError:
                    break
                changed.clear()
        return found

    @override
    async def remove(self, before: datetime) -> int:
        removed = 0
        for state in set(State) - UNDECIDED:
            with answering():
                end = f"({id_at(before)}"
                old = await self._redis.zrangebylex(self._keys.state(state), "-", end, start=0, num=_BATCH)
                ids = cast(list[str], old)
                on = {ticket.id: facets_of(ticket) for ticket in await self._records(ids)}
                for id in ids:
                    gone = [self._keys.ticket(id), self._keys.events(id)]
                    facets = map(facet_name, on.get(id, ()))
                    await self._scripts.remove(
                        keys=[*gone, self._keys.state(state), self._keys.facets],
                        args=[id, self._keys.facet(""), *facets],
                    )
            removed += len(ids)
        return removed

    @override
    async def probe(self) -> None:
        name = uuid4().hex
        kinds = ("hash", "zset", "stream", "string", "set")
        with answering():
            await self._scripts.probe(keys=[f"{self._keys.probe}:{name}:{kind}" for kind in kinds])

    async def _read_events(self, id: str, after: str | None, *, patient: bool) -> Sequence[StoredEvent]:
        """The events behind ``after``, read once for all who ask in the same turn of the loop.

        ``patient`` returns none while Redis does not answer: the notifier wakes its subscribers when it is back.
        """
        key = (id, after)
        if (reading := self._reads.get(key)) is None:
            reading = self._reads[key] = asyncio.ensure_future(self._read_stream(key))
        try:
            return await asyncio.shield(reading)
        except QueueUnavailable:
            if not patient:
                raise
            return ()

    async def _read_stream(self, key: tuple[str, str | None]) -> Sequence[StoredEvent]:
        await asyncio.sleep(0)  # everyone whom a notification woke joins
        # No one may join a read that is on its way: it could miss the event that woke them.
        del self._reads[key]
        id, after = key
        with answering():
            found = await self._redis.xread({self._keys.events(id): after or "0-0"}, count=100)
        entries = (_stored_event(*entry) for _, entries in cast(_Streams, found or []) for entry in entries)
        return [event for event in entries if event]

    async def _page(self, index: str, after: str | None, limit: int) -> TicketPage:
        lowest = f"({after}" if after else "-"
        with answering():
            found = await self._redis.zrangebylex(index, lowest, "+", start=0, num=limit + 1)
        ids = cast(list[str], found)
        tickets = await self._records(ids[:limit])
        return TicketPage(tickets=tuple(tickets), after=ids[limit - 1] if len(ids) > limit else None)

    async def _read(self, id: str) -> tuple[str, str | None, Ticket]:
        """The version, the last operation and the record. Raises ``UnknownTicket`` or ``RecordUnreadable``."""
        try:
            with answering():
                held = await self._redis.hmget(self._keys.ticket(id), ["version", "op", "record", "state"])  # type: ignore[misc]
        except QueueUnavailable as error:
            if error.code != WRONG_TYPE:
                raise
            held = [None, None, None, "no hash"]
        version, operation, record, state = cast(list[str | None], held)
        if version is None and record is None and state is None:
            raise UnknownTicket(id)
        if (ticket := parse_record(id, record)) is None or version is None or not version.isdecimal():
            with suppress(QueueUnavailable):
                await self._repair.set_aside([id])
            raise RecordUnreadable(id)
        return version, operation, ticket

    async def _records(self, ids: Sequence[str]) -> Sequence[Ticket]:
        """The records. One that was deleted meanwhile is left out; so is one that cannot be read, which is set aside."""
        with answering():
            async with self._redis.pipeline(transaction=False) as pipeline:
                for id in ids:
                    pipeline.hget(self._keys.ticket(id), "record")
                found = await pipeline.execute(raise_on_error=False)
        for record in found:
            if isinstance(record, Exception) and code_of(record) != WRONG_TYPE:
                raise unavailable(record) from record
        tickets = [parse_record(id, record) for id, record in zip(ids, found, strict=True)]
        if bad := [id for id, ticket in zip(ids, tickets, strict=True) if ticket is None]:
            with suppress(QueueUnavailable):
                await self._repair.set_aside(bad)
        return [ticket for ticket in tickets if ticket]


def _moment(id: str) -> datetime | None:
    try:
        return moment_of(id)
    except (ValueError, OverflowError):  # no id of ours; the sweep removes it
        return None


def _owes(after: Ticket, events: Sequence[Event]) -> str:
    """``1`` if the change makes the ticket owe its webhook, ``0`` if it no longer does, nothing if that is as before."""
    owes = owes_webhook(after, events)
    return "" if owes is None else str(int(owes))


def _event_args(event: Event) -> tuple[str, str]:
    return event.name, json.dumps(event.data, ensure_ascii=False)


def _stored_event(entry_id: str, fields: Mapping[str, str]) -> StoredEvent | None:
    """The event; None for an entry that is none."""
    try:
        data = json.loads(fields["data"])
        return StoredEvent(id=entry_id, name=fields["name"], data=data) if isinstance(data, dict) else None
    except (KeyError, ValueError):
        return None
