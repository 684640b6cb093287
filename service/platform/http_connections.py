"""The connections of a server, and which of them ends when there is no room; the bytes of all bodies in flight."""

from __future__ import annotations

from typing import Literal, Protocol

Phase = Literal["stranger", "idle", "uploading", "answering"]
"""``stranger`` has sent no whole request yet, or takes nothing of its response; ``answering`` has sent one."""

_ENDED_FIRST: tuple[Phase, ...] = ("stranger", "idle", "uploading")
"""The order in which phases make room. A request that has arrived is always answered."""


class Connection(Protocol):
    """A connection that the table can end."""

    def end(self) -> None:
        """Ends the connection at once."""
        ...


class ConnectionTable:
    """Knows every connection of a server by its phase, longest in it first.

    Above ``limit`` the oldest stranger ends for each new connection, so a silent one makes room for others.
    """

    def __init__(self, limit: int, reserved: int) -> None:
        self._limit = limit
        self._reserved = reserved
        self._phases: dict[Connection, Phase] = {}
        self._members: dict[Phase, dict[Connection, None]] = {
            phase: {} for phase in ("stranger", "idle", "uploading", "answering")
        }

    def __len__(self) -> int:
        return len(self._phases)

    def add(self, connection: Connection) -> bool:
        """Adds a stranger; False if its place is one of the reserved ones. Ends it if there is not even such a place."""
        if len(self._phases) >= self._limit:
            self._make_room()
        reserved = len(self._phases) >= self._limit
        full = len(self._phases) >= self._limit + self._reserved
        self._put(connection, "stranger")
        if full:
            connection.end()
        return not reserved

    def move(self, connection: Connection, phase: Phase) -> None:
        """Notes a new phase; does nothing for a connection that has been removed."""
        if self._phases.get(connection, phase) != phase:
            self._put(connection, phase)

    def remove(self, connection: Connection) -> None:
        """Forgets a connection."""
        if (phase := self._phases.pop(connection, None)) is not None:
            self._members[phase].pop(connection)

    def _put(self, connection: Connection, phase: Phase) -> None:
        self.remove(connection)
        self._phases[connection] = phase
        self._members[phase][connection] = None

    def _make_room(self) -> None:
        for phase in _ENDED_FIRST:
            if self._members[phase]:
                oldest = next(iter(self._members[phase]))
                self.remove(oldest)
                oldest.end()
                return


class BytesInFlight:
    """Counts the bytes of all bodies against ``limit``."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0

    def take(self, count: int) -> bool:
        """Counts ``count`` bytes more; False, and nothing is counted, if that is over the limit."""
        if self.used + count > self.limit:
            return False
        self.used += count
        return True

    def release(self, count: int) -> None:
        """Counts ``count`` bytes less."""
        self.used -= count
