"""The names of everything that tickets have in Redis, all below one prefix."""

from __future__ import annotations

import json
from dataclasses import dataclass

from service.tickets.review import Risk, Shelf
from service.tickets.ticket import State


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketKeys:
    """The keys below ``prefix``."""

    prefix: str

    def ticket(self, id: str) -> str:
        """A hash: version, op, state, fence, record."""
        return f"{self.prefix}:group:{id}"

    def events(self, id: str) -> str:
        """A stream; also the channel that says that it grew."""
        return f"{self.prefix}:group:{id}:events"

    def state(self, state: State) -> str:
        """The ids of that state, a sorted set; ids sort by time."""
        return f"{self.prefix}:groups:{state}"

    @property
    def active(self) -> str:
        """The ids of those being worked on, by when they were last heard of."""
        return f"{self.prefix}:groups:active"

    def shelf(self, name: str) -> str:
        """The ids that wait for a person on the shelf of that name (``shelf_name``), a sorted set."""
        return f"{self.prefix}:shelf:{name}"

    @property
    def shelves(self) -> str:
        """The names of the shelves that are not empty."""
        return f"{self.prefix}:shelves"

    def idempotency(self, key: str) -> str:
        """What a client's key stands for: ``digest id``."""
        return f"{self.prefix}:idempotency:{key}"


def shelf_name(shelf: Shelf) -> str:
    """``[mission, model, risk]`` in JSON; ``shelf_of`` reads it."""
    return json.dumps([shelf.mission, shelf.model, shelf.risk], ensure_ascii=False)


def shelf_of(name: str) -> Shelf:
    """The shelf of that name."""
    mission, model, risk = json.loads(name)
    return Shelf(mission=mission, model=model, risk=risk and Risk(risk))
