"""Where the sessions of people who have signed in are stored: the port, and its version in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from typing_extensions import override

from service.console.accounts import Account


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRecord:
    """Who signed in: the API key with ``key_id``, whose SHA-256 was ``digest``, or an ``account`` at a provider."""

    key_id: str | None = None
    digest: str = ""
    account: Account | None = None


class SessionStore(Protocol):
    """Stores records by session id. Every call raises ``QueueUnavailable`` when the store does not answer."""

    async def save(self, id: str, record: SessionRecord, idle: timedelta) -> None:
        """Stores a record, which is dropped after ``idle``."""
        ...

    async def get(self, id: str, *, renew: timedelta | None) -> SessionRecord | None:
        """The record, None if there is none (any more). ``renew`` starts its idle time again."""
        ...

    async def delete(self, id: str) -> None:
        """Deletes a record; an unknown id is no error."""
        ...


class MemorySessions(SessionStore):
    """Sessions of one process, which end with it: for a service without Redis, and for tests."""

    def __init__(self, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._records: dict[str, tuple[SessionRecord, datetime]] = {}
        self._clock = clock

    @override
    async def save(self, id: str, record: SessionRecord, idle: timedelta) -> None:
        now = self._clock()
        self._records = {key: held for key, held in self._records.items() if held[1] > now}
        self._records[id] = record, now + idle

    @override
    async def get(self, id: str, *, renew: timedelta | None) -> SessionRecord | None:
        record, ends_at = self._records.get(id, (None, self._clock()))
        if record is None or ends_at <= self._clock():
            return None
        if renew is not None:
            self._records[id] = record, self._clock() + renew
        return record

    @override
    async def delete(self, id: str) -> None:
        self._records.pop(id, None)
