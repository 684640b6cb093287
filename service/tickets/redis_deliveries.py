"""Deliveries of webhooks in Redis: a string each, and a sorted set of ids for each state. Ids sort by time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import cast

from pydantic import TypeAdapter
from redis.asyncio import Redis
from typing_extensions import override

from service.platform.errors import UnknownDelivery
from service.platform.redis_client import answering
from service.tickets.deliveries import Delivery, DeliveryPage, DeliveryState, DeliveryStore, delivery_page
from service.tickets.ticket import id_at

_RECORD = TypeAdapter(Delivery)


class RedisDeliveries(DeliveryStore):
    """The store on Redis. A delivery is dropped ``keep`` after its last attempt."""

    def __init__(
        self,
        redis: Redis,
        *,
        keep: timedelta,
        prefix: str = "vqc:webhook",
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._redis = redis
        self._keep = keep
        self._prefix = prefix
        self._clock = clock

    @override
    async def save(self, delivery: Delivery) -> None:
        expired = f"({id_at(self._clock() - self._keep)}"
        with answering():
            async with self._redis.pipeline(transaction=True) as one:
                one.set(self._key(delivery.id), _RECORD.dump_json(delivery), px=self._keep)
                for state in (None, *DeliveryState):
                    if state in (None, delivery.state):
                        one.zadd(self._index(state), {delivery.id: 0})
                    else:
                        one.zrem(self._index(state), delivery.id)
                    one.zremrangebylex(self._index(state), "-", expired)
                await one.execute()

    @override
    async def get(self, id: str) -> Delivery:
        with answering():
            found = await self._redis.get(self._key(id))
        if (delivery := _parse(found)) is None:
            raise UnknownDelivery(id)
        return delivery

    @override
    async def page(self, state: DeliveryState | None, *, after: str | None, limit: int) -> DeliveryPage:
        with answering():
            highest = f"({after}" if after else "+"
            found = await self._redis.zrevrangebylex(self._index(state), highest, "-", start=0, num=limit + 1)
            ids = cast(list[str], found)
            records = cast("list[str | None]", await self._redis.mget(map(self._key, ids)) if ids else [])
        page = delivery_page([delivery for delivery in map(_parse, records) if delivery], limit)
        # A record that cannot be read, or has expired, is left out; the page then ends where the index does.
        return DeliveryPage(deliveries=page.deliveries, after=ids[limit - 1] if len(ids) > limit else None)

    def _key(self, id: str) -> str:
        return f"{self._prefix}:{id}"

    def _index(self, state: DeliveryState | None) -> str:
        return f"{self._prefix}s:{state or 'all'}"


def _parse(record: object) -> Delivery | None:
    """The delivery; None for nothing, and for a text that is none."""
    try:
        return _RECORD.validate_json(record) if isinstance(record, str) else None
    except ValueError:
        return None
