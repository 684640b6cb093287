"""Reads the review queue by mission, model, risk and age, and finds the ticket after one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

from service.tickets.review import ReviewFacet, Risk, risk_of
from service.tickets.store import TicketStore
from service.tickets.ticket import Ticket, id_at

Order = Literal["risk", "age"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewQuery:
    """Selects the tickets of a facet that were accepted at least ``older`` ago, highest risk or oldest first."""

    facet: ReviewFacet = field(default_factory=ReviewFacet)
    older: timedelta | None = None
    order: Order = "risk"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewPage:
    """Some waiting tickets. ``after`` continues behind them, None on the last page. ``total`` counts all that match."""

    tickets: tuple[Ticket, ...]
    after: str | None
    total: int


class ReviewQueue:
    """Reads the queue. A page costs one index range per facet and its own records, however many tickets wait."""

    def __init__(self, store: TicketStore, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._store = store
        self._clock = clock

    async def page(self, query: ReviewQuery, *, after: str | None, limit: int) -> ReviewPage:
        """The tickets behind ``after``, which is ``after`` of the page before or the ``place`` of a ticket."""
        until = id_at(self._clock() - query.older) if query.older is not None else None
        found: list[Ticket] = []
        for facet, start in _remaining_facets(query, after):
            # One ticket more than the page holds tells whether there is a next page.
            found += await self._store.waiting(facet, after=start, until=until, limit=limit + 1 - len(found))
            if len(found) > limit:
                break
        total = await self._store.waiting_count(query.facet, until=until)
        more = len(found) > limit
        return ReviewPage(tickets=tuple(found[:limit]), after=place(found[limit - 1]) if more else None, total=total)


def place(ticket: Ticket) -> str:
    """The place of a ticket in the queue; also of a ticket that has left it, to find the one behind."""
    return f"{risk_of(ticket.outcome)}.{ticket.id}" if ticket.outcome else ticket.id


def _remaining_facets(query: ReviewQuery, after: str | None) -> list[tuple[ReviewFacet, str | None]]:
    """The facets that are still to be read, and the id behind which each starts."""
    risk, _, start = (after or "").rpartition(".")
    facet = query.facet
    if query.order == "age" or facet.risk is not None:  # one index has all of them in this order
        return [(facet, start or None)]
    risks = list(Risk)
    current = risks.index(Risk(risk)) if risk in set(Risk) else 0
    return [
        (ReviewFacet(mission=facet.mission, model=facet.model, risk=one), start or None if n == 0 else None)
        for n, one in enumerate(risks[current:])
    ]
