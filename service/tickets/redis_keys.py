"""The Redis keys of tickets, all below one prefix."""

from __future__ import annotations

import json
from dataclasses import dataclass

from service.tickets.review import ReviewFacet, Risk
from service.tickets.ticket import State


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketKeys:
    """The keys below ``prefix``. Their names are older than the code's: a ticket is a ``group``, a facet a ``shelf``."""

    prefix: str

    def ticket(self, id: str) -> str:
        """A hash: version, op, state, fence, record."""
        return f"{self.prefix}:group:{id}"

    def events(self, id: str) -> str:
        """The stream of events, and the channel that announces a new one."""
        return f"{self.prefix}:group:{id}:events"

    def state(self, state: State) -> str:
        """A sorted set: the ids of the tickets in a state. Ids sort by time."""
        return f"{self.prefix}:groups:{state}"

    @property
    def active(self) -> str:
        """A sorted set: the ids of active tickets, by their last heartbeat: a number that only grows."""
        return f"{self.prefix}:groups:active"

    @property
    def unreadable(self) -> str:
        """A sorted set: the ids whose records cannot be read. The records stay where they are."""
        return f"{self.prefix}:groups:unreadable"

    @property
    def owing(self) -> str:
        """A sorted set: the ids of finished tickets whose webhook is neither delivered nor given up."""
        return f"{self.prefix}:groups:owing"

    def facet(self, name: str) -> str:
        """A sorted set: the ids of the tickets that wait for a review in the facet of this ``facet_name``."""
        return f"{self.prefix}:shelf:{name}"

    @property
    def facets(self) -> str:
        """A set: the names of the facets that are not empty."""
        return f"{self.prefix}:shelves"

    @property
    def probe(self) -> str:
        """The beginning of keys that live only inside the script that tests whether the server accepts writes."""
        return f"{self.prefix}:probe"

    def aside(self, key: str) -> str:
        """Where a key that holds another type than it should is renamed to."""
        return f"{self.prefix}:aside:{key}"

    def idempotency(self, key: str) -> str:
        """A string: ``digest id``, the ticket that a client's key was used for."""
        return f"{self.prefix}:idempotency:{key}"


def facet_name(facet: ReviewFacet) -> str:
    """``[mission, model, risk]`` in JSON; the inverse of ``parse_facet``."""
    return json.dumps([facet.mission, facet.model, facet.risk], ensure_ascii=False)


def parse_facet(name: str) -> ReviewFacet | None:
    """The facet of a ``facet_name``; None for a text that is none."""
    try:
        mission, model, risk = json.loads(name)
        return ReviewFacet(mission=mission, model=model, risk=risk and Risk(risk))
    except (TypeError, ValueError):
        return None
