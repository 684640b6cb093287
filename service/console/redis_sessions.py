"""Sessions in Redis, shared by every API process. Only a digest of the id is stored, so a backup signs no one in."""

from __future__ import annotations

from datetime import timedelta
from hashlib import sha256
from typing import cast

from pydantic import TypeAdapter
from redis.asyncio import Redis
from typing_extensions import override

from service.console.session_store import SessionRecord, SessionStore
from service.platform.errors import QueueUnavailable
from service.platform.redis_answers import CONNECTION, TIMEOUT
from service.platform.redis_client import answering

_RECORD = TypeAdapter(SessionRecord)


class RedisSessions(SessionStore):
    """The session store on Redis. A record expires by itself."""

    def __init__(self, redis: Redis, prefix: str = "vqc:session") -> None:
        self._redis = redis
        self._prefix = prefix

    @override
    async def save(self, id: str, record: SessionRecord, idle: timedelta) -> None:
        with answering():
            await self._redis.set(self._key(id), _RECORD.dump_json(record), px=idle)

    @override
    async def get(self, id: str, *, renew: timedelta | None) -> SessionRecord | None:
        key = self._key(id)
        try:
            with answering():
                found = await (self._redis.get(key) if renew is None else self._redis.getex(key, px=renew))
        except QueueUnavailable as error:
            if error.code in (CONNECTION, TIMEOUT):
                raise
            with answering():  # renewing is a write: people can look at the console while Redis accepts none
                found = await self._redis.get(key)
        try:
            return None if found is None else _RECORD.validate_json(cast(str, found))
        except ValueError:  # another version's, or damaged: that person signs in again
            return None

    @override
    async def delete(self, id: str) -> None:
        with answering():
            await self._redis.delete(self._key(id))

    def _key(self, id: str) -> str:
        return f"{self._prefix}:{sha256(id.encode()).hexdigest()}"
