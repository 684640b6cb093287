"""Group records, their events and indices in Redis (7.0 and later, or Valkey).

Keys, all below one prefix: ``group:<id>`` (hash: version, op, state, fence, record), ``group:<id>:events`` (stream),
``groups:<state>`` (ids of that state; they sort by time), ``groups:active`` (ids by when they were last heard of),
``shelf:[mission, model, risk]`` (ids that wait for a person), ``shelves`` (the names of those that are not empty) and
``idempotency:<key>``. A change is one Lua call, so record, indices and events never disagree; it also publishes the name of
the stream, for those that follow it.
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

from service.adapters.groups_news import GroupNews
from service.adapters.redis_client import answering
from service.application.groups.store import Change, Event, Idempotency, Page, StoredEvent
from service.domain.errors import IdempotencyConflict, UnknownGroup
from service.domain.groups import ACTIVE, Group, State, id_at, moment_of
from service.domain.review_queue import Risk, Shelf, shelves_of

IDEMPOTENCY_TTL_S = 7 * 24 * 3600
"""How long an Idempotency-Key is remembered."""
_SWEEP = 1000
"""Most quiet groups looked at in one sweep."""
_RECORD = TypeAdapter(Group)
_Entries = Sequence[tuple[str, Mapping[str, str]]]
_Streams = Sequence[tuple[str, _Entries]]

_NOW = """
local function now()
  local time = redis.call('TIME')
  return time[1] + time[2] / 1000000
end
"""
"""Seconds by the server's clock: the machines' may differ."""

_CREATE = """
local held = ARGV[1] ~= '' and redis.call('GET', KEYS[5])
if held and redis.call('EXISTS', ARGV[9] .. string.match(held, ' (.*)')) == 1 then return held end
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('HSET', KEYS[1], 'version', 1, 'op', '', 'state', ARGV[4], 'fence', ARGV[5], 'record', ARGV[6])
  redis.call('ZADD', KEYS[3], 0, ARGV[3])
  redis.call('ZADD', KEYS[4], now(), ARGV[3])
  redis.call('XADD', KEYS[2], '*', 'name', ARGV[7], 'data', ARGV[8])
  if ARGV[1] ~= '' then redis.call('SET', KEYS[5], ARGV[1] .. ' ' .. ARGV[3], 'EX', ARGV[2]) end
end
return ARGV[1] .. ' ' .. ARGV[3]
"""

_SHELVE = """
local function off(name, id, catalogue, prefix)
  redis.call('ZREM', prefix .. name, id)
  if redis.call('EXISTS', prefix .. name) == 0 then redis.call('SREM', catalogue, name) end
end
local function on(name, id, catalogue, prefix)
  redis.call('ZADD', prefix .. name, 0, id)
  redis.call('SADD', catalogue, name)
end
"""

_UPDATE = """
local held = redis.call('HMGET', KEYS[1], 'version', 'op')
if not held[1] then return -1 end
if held[2] == ARGV[2] then return 1 end
if held[1] ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'version', ARGV[1] + 1, 'op', ARGV[2], 'state', ARGV[4], 'fence', ARGV[5], 'record', ARGV[6])
redis.call('ZREM', KEYS[3], ARGV[3])
redis.call('ZADD', KEYS[4], 0, ARGV[3])
if ARGV[7] == '1' then redis.call('ZADD', KEYS[5], now(), ARGV[3]) else redis.call('ZREM', KEYS[5], ARGV[3]) end
local events = 11 + ARGV[9] + ARGV[10]
for i = 11, 10 + ARGV[9] do off(ARGV[i], ARGV[3], KEYS[6], ARGV[8]) end
for i = 11 + ARGV[9], events - 1 do on(ARGV[i], ARGV[3], KEYS[6], ARGV[8]) end
for i = events, #ARGV, 2 do redis.call('XADD', KEYS[2], '*', 'name', ARGV[i], 'data', ARGV[i + 1]) end
if events < #ARGV then redis.call('PUBLISH', KEYS[2], '') end
return 1
"""

_REMOVE = """
redis.call('DEL', KEYS[1], KEYS[2])
redis.call('ZREM', KEYS[3], ARGV[1])
for i = 3, #ARGV do off(ARGV[i], ARGV[1], KEYS[4], ARGV[2]) end
"""

_BEAT = """
local held = redis.call('HMGET', KEYS[1], 'state', 'fence')
if held[1] ~= 'running' or held[2] ~= ARGV[1] then return 0 end
redis.call('ZADD', KEYS[2], now(), ARGV[2])
return 1
"""

_QUIET = """
local ids = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now() - ARGV[1], 'LIMIT', 0, ARGV[2])
for _, id in ipairs(ids) do redis.call('ZADD', KEYS[1], now(), id) end
return ids
"""

_SILENCE = """
local heard = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not heard then return false end
return tostring(now() - heard)
"""


@asynccontextmanager
async def redis_groups(redis: Redis) -> AsyncGenerator[RedisGroupStore, None]:
    """The store, hearing of changes by whichever process inside the block."""
    store = RedisGroupStore(redis)
    listening = asyncio.ensure_future(store.news.listen())
    try:
        yield store
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


class RedisGroupStore:
    """The ``GroupStore`` on Redis. Waiting for events ends with the next one only while ``news`` is listened to."""

    def __init__(self, redis: Redis, prefix: str = "vqc") -> None:
        self._redis = redis
        self._prefix = prefix
        self.news = GroupNews(redis, self._events("*"))
        self._create = redis.register_script(_NOW + _CREATE)
        self._update = redis.register_script(_NOW + _SHELVE + _UPDATE)
        self._remove = redis.register_script(_SHELVE + _REMOVE)
        self._beat = redis.register_script(_NOW + _BEAT)
        self._quiet = redis.register_script(_NOW + _QUIET)
        self._silence = redis.register_script(_NOW + _SILENCE)

    async def create(self, group: Group, event: Event, idempotency: Idempotency | None) -> Group:
        """See ``GroupStore``."""
        key, digest = (idempotency.key, idempotency.digest) if idempotency else ("", "")
        keys = [
            self._group(group.id),
            self._events(group.id),
            self._state(group.state),
            self._active,
            f"{self._prefix}:idempotency:{key}",
        ]
        values = [digest, IDEMPOTENCY_TTL_S, group.id, group.state, group.fence, _dumped(group)]
        with answering():
            held: str = await self._create(keys=keys, args=[*values, *_event(event), self._group("")])
        held_digest, _, group_id = held.partition(" ")
        if held_digest != digest:
            raise IdempotencyConflict(key.partition(":")[2], group_id)
        return group if group_id == group.id else await self.get(group_id)

    async def get(self, group_id: str) -> Group:
        """See ``GroupStore``."""
        return (await self._held(group_id))[1]

    async def update(self, group_id: str, change: Callable[[Group], Change]) -> Group:
        """See ``GroupStore``."""
        operation = uuid4().hex  # a call that is sent again after a lost reply does nothing twice
        while True:
            version, before = await self._held(group_id)
            after, events = change(before)
            keys = [
                self._group(group_id),
                self._events(group_id),
                self._state(before.state),
                self._state(after.state),
                self._active,
                self._shelves,
            ]
            active = int(after.state in ACTIVE)
            values = [version, operation, group_id, after.state, after.fence, _dumped(after), active, self._shelf("")]
            left, taken = shelves_of(before) - shelves_of(after), shelves_of(after) - shelves_of(before)
            values += [len(left), len(taken), *map(_name, left), *map(_name, taken)]
            with answering():
                done = await self._update(
                    keys=keys, args=[*values, *(part for event in events for part in _event(event))]
                )
            if done == 1:
                return after
            if done == -1:
                raise UnknownGroup(group_id)

    async def beat(self, group_id: str, fence: int) -> bool:
        """See ``GroupStore``."""
        with answering():
            keys = [self._group(group_id), self._active]
            return bool(await self._beat(keys=keys, args=[fence, group_id]))

    async def silence_s(self, group_id: str) -> float | None:
        """See ``GroupStore``."""
        with answering():
            silence = await self._silence(keys=[self._active], args=[group_id])
        return None if silence is None else float(silence)

    async def quiet(self, for_s: float) -> Sequence[Group]:
        """See ``GroupStore``."""
        with answering():
            ids = await self._quiet(keys=[self._active], args=[for_s, _SWEEP])
        return await self._records(ids)

    async def page(self, state: State, *, after: str | None, limit: int) -> Page:
        """See ``GroupStore``."""
        lowest = f"({after}" if after else "-"
        with answering():
            found = await self._redis.zrangebylex(self._state(state), lowest, "+", start=0, num=limit + 1)
        ids = cast(list[str], found)
        groups = await self._records(ids[:limit])
        return Page(groups=tuple(groups), after=ids[limit - 1] if len(ids) > limit else None)

    async def waiting(self, shelf: Shelf, *, after: str | None, until: str | None, limit: int) -> Sequence[Group]:
        """See ``GroupStore``."""
        lowest, highest = f"({after}" if after else "-", f"({until}" if until else "+"
        with answering():
            found = await self._redis.zrangebylex(self._shelf(_name(shelf)), lowest, highest, start=0, num=limit)
        return await self._records(cast(list[str], found))

    async def waiting_count(self, shelf: Shelf, *, until: str | None) -> int:
        """See ``GroupStore``."""
        with answering():
            found = await self._redis.zlexcount(self._shelf(_name(shelf)), "-", f"({until}" if until else "+")
        return cast(int, found)

    async def shelves(self) -> Mapping[Shelf, int]:
        """See ``GroupStore``."""
        with answering():
            names = sorted(cast(set[str], await self._redis.smembers(self._shelves)))  # type: ignore[misc]
            async with self._redis.pipeline(transaction=False) as pipeline:
                for name in names:
                    pipeline.zcard(self._shelf(name))
                sizes = dict(zip(names, await pipeline.execute(), strict=True))
        return {_shelf_of(name): size for name, size in sizes.items() if size}

    async def counts(self) -> Mapping[State, int]:
        """See ``GroupStore``."""
        with answering():
            async with self._redis.pipeline(transaction=False) as pipeline:
                for state in State:
                    pipeline.zcard(self._state(state))
                return dict(zip(State, await pipeline.execute(), strict=True))

    async def oldest(self) -> Mapping[State, datetime]:
        """See ``GroupStore``."""
        with answering():
            async with self._redis.pipeline(transaction=False) as pipeline:
                for state in State:
                    pipeline.zrange(self._state(state), 0, 0)
                first = cast(Sequence[Sequence[str]], await pipeline.execute())
        return {state: moment_of(ids[0]) for state, ids in zip(State, first, strict=True) if ids}

    async def events(self, group_id: str, after: str | None, *, wait_s: float = 0.0) -> Sequence[StoredEvent]:
        """See ``GroupStore``."""
        until = asyncio.get_running_loop().time() + wait_s
        with self.news.bell(self._events(group_id)) as bell:  # before the first look, so that nothing falls between
            while not (found := await self._behind(group_id, after)) and wait_s:
                try:
                    async with asyncio.timeout_at(until):
                        await bell.wait()
                except TimeoutError:
                    break
                bell.clear()
        return found

    async def remove(self, before: datetime) -> int:
        """See ``GroupStore``."""
        removed = 0
        for state in set(State) - ACTIVE:
            with answering():
                old = await self._redis.zrangebylex(self._state(state), "-", f"({id_at(before)}", start=0, num=_SWEEP)
                ids = cast(list[str], old)
                on = {group.id: shelves_of(group) for group in await self._records(ids)}
                for group_id in ids:
                    keys = [self._group(group_id), self._events(group_id), self._state(state), self._shelves]
                    await self._remove(keys=keys, args=[group_id, self._shelf(""), *map(_name, on.get(group_id, ()))])
            removed += len(ids)
        return removed

    async def ping(self) -> None:
        """See ``GroupStore``."""
        with answering():
            await self._redis.ping()  # type: ignore[misc]

    async def _behind(self, group_id: str, after: str | None) -> Sequence[StoredEvent]:
        with answering():
            found = await self._redis.xread({self._events(group_id): after or "0-0"}, count=100)
        return [_stored(*entry) for _, entries in cast(_Streams, found or []) for entry in entries]

    async def _held(self, group_id: str) -> tuple[str, Group]:
        with answering():
            held = await self._redis.hmget(self._group(group_id), ["version", "record"])  # type: ignore[misc]
        version, record = cast(list[str | None], held)
        if version is None or record is None:
            raise UnknownGroup(group_id)
        return version, _RECORD.validate_json(record)

    async def _records(self, ids: Sequence[str]) -> Sequence[Group]:
        """The records there are; one that was removed meanwhile is left out."""
        with answering():
            async with self._redis.pipeline(transaction=False) as pipeline:
                for group_id in ids:
                    pipeline.hget(self._group(group_id), "record")
                return [_RECORD.validate_json(record) for record in await pipeline.execute() if record]

    def _group(self, group_id: str) -> str:
        return f"{self._prefix}:group:{group_id}"

    def _events(self, group_id: str) -> str:
        return f"{self._prefix}:group:{group_id}:events"

    def _state(self, state: State) -> str:
        return f"{self._prefix}:groups:{state}"

    def _shelf(self, name: str) -> str:
        return f"{self._prefix}:shelf:{name}"

    @property
    def _shelves(self) -> str:
        return f"{self._prefix}:shelves"

    @property
    def _active(self) -> str:
        return f"{self._prefix}:groups:active"


def _name(shelf: Shelf) -> str:
    return json.dumps([shelf.mission, shelf.model, shelf.risk], ensure_ascii=False)


def _shelf_of(name: str) -> Shelf:
    mission, model, risk = json.loads(name)
    return Shelf(mission=mission, model=model, risk=risk and Risk(risk))


def _dumped(group: Group) -> str:
    return _RECORD.dump_json(group).decode()


def _event(event: Event) -> tuple[str, str]:
    return event.name, json.dumps(event.data, ensure_ascii=False)


def _stored(entry_id: str, fields: Mapping[str, str]) -> StoredEvent:
    return StoredEvent(id=entry_id, name=fields["name"], data=json.loads(fields["data"]))
