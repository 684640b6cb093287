"""Keeps the indices of tickets in Redis equal to the records, which are the truth, and sets aside what is no record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import structlog
from pydantic import TypeAdapter
from redis.asyncio import Redis

from service.platform.redis_client import answering
from service.tickets.redis_keys import TicketKeys, facet_name
from service.tickets.redis_scripts import TicketScripts
from service.tickets.review import ReviewFacet, facets_of
from service.tickets.store import Repairs
from service.tickets.ticket import State, Ticket

_RECORD = TypeAdapter(Ticket)
_SCAN = 1000
"""Keys that one command looks at: a few milliseconds of the server."""
_SCANS = 10
"""Such commands in one round."""
_RETURNING = 100
_log = structlog.get_logger("vqc.tickets")


def record_json(ticket: Ticket) -> str:
    """The record as it is stored; the inverse of ``parse_record``."""
    return _RECORD.dump_json(ticket).decode()


def parse_record(id: str, stored: object) -> Ticket | None:
    """The ticket that is stored under ``id``; None for anything that is not its record."""
    if not isinstance(stored, str):
        return None
    try:
        ticket = _RECORD.validate_json(stored)
    except ValueError:
        return None
    return ticket if ticket.id == id else None


class RecordRepair:
    """A call is one round: a part of the keys. Rounds follow each other through all of them, and begin again."""

    def __init__(self, redis: Redis, keys: TicketKeys, scripts: TicketScripts) -> None:
        self._redis = redis
        self._keys = keys
        self._scripts = scripts
        self._cursor = 0

    async def __call__(self) -> Repairs:
        """What this round has corrected. Raises ``QueueUnavailable``."""
        with answering():
            set_aside = await self._rename_indices_of_another_type()
            returned = await self._return_readable()
            reindexed = 0
            for _ in range(_SCANS):
                self._cursor, names = await self._redis.scan(self._cursor, f"{self._keys.ticket('')}*", _SCAN)
                prefix = len(self._keys.ticket(""))
                ids = [name[prefix:] for name in cast(list[str], names) if ":" not in name[prefix:]]
                corrected, unreadable = await self._reindex(ids)
                reindexed += corrected
                set_aside += unreadable
                if not self._cursor:
                    break
        return Repairs(reindexed=reindexed, set_aside=set_aside, returned=returned)

    async def set_aside(self, ids: Sequence[str]) -> int:
        """Takes tickets out of every index, so that no list meets their records again; the records stay. Their number.

        An index entry without a record is only removed. Raises ``QueueUnavailable``.
        """
        keys, count = self._keys, 0
        with answering():
            for id in ids:
                count += await self._scripts.set_aside(
                    keys=[keys.ticket(id), keys.active, keys.unreadable, keys.facets],
                    args=[id, _states(keys), keys.facet("")],
                )
        if count:
            _log.error("records_unreadable", groups=count, first=ids[0])
        return count

    async def _rename_indices_of_another_type(self) -> int:
        zsets = [*map(self._keys.state, State), self._keys.active, self._keys.unreadable, self._keys.owing]
        wanted = {**dict.fromkeys(zsets, "zset"), self._keys.facets: "set"}
        async with self._redis.pipeline(transaction=False) as pipeline:
            for key in wanted:
                pipeline.type(key)
            kinds = await pipeline.execute()
        wrong = [key for key, kind in zip(wanted, kinds, strict=True) if kind not in (wanted[key], "none")]
        for key in wrong:
            _log.error("index_of_another_type", key=key)
            await self._redis.rename(key, self._keys.aside(key))
        return len(wrong)

    async def _return_readable(self) -> int:
        """Lists records again that can be read by now: restored by a person, or of a version that is installed again."""
        ids = cast(list[str], await self._redis.zrange(self._keys.unreadable, 0, _RETURNING - 1))
        returned = []
        for id in ids:
            key = self._keys.ticket(id)
            kind = await self._redis.type(key)
            fields = ["record", "version", "state"]
            record, version, state = await self._redis.hmget(key, fields) if kind == "hash" else ("", "", "")  # type: ignore[misc]
            whole = parse_record(id, record) and str(version or "").isdecimal() and state in set(State)
            if kind == "none" or whole:
                await self._redis.zrem(self._keys.unreadable, id)
                returned += [id] if whole else []
        await self._reindex(returned)
        return len(returned)

    async def _reindex(self, ids: Sequence[str]) -> tuple[int, int]:
        """The numbers of records whose entries were corrected and of those that were set aside."""
        if not ids:
            return 0, 0
        keys, waiting = self._keys, self._keys.facet(facet_name(ReviewFacet()))
        own = [keys.ticket(""), _states(keys), keys.active, keys.unreadable, waiting, keys.aside("")]
        fixed, unreadable, unlisted = await self._scripts.reindex(keys=[], args=[*own, *ids])
        for id in cast(list[str], unlisted):
            version, record = await self._redis.hmget(keys.ticket(id), ["version", "record"])  # type: ignore[misc]
            if (ticket := parse_record(id, record)) is None:
                unreadable.append(id)
                continue
            facets = map(facet_name, facets_of(ticket))
            fixed += await self._scripts.list_facets(
                keys=[keys.ticket(id), keys.facets], args=[id, keys.facet(""), str(version), *facets]
            )
        return int(fixed), await self.set_aside(unreadable) if unreadable else 0


def _states(keys: TicketKeys) -> str:
    """What precedes the state in the key of its tickets."""
    return keys.state(State.QUEUED).removesuffix(State.QUEUED)
