"""Use case: a person looks at what waits, by mission, model, risk and age; and the next ticket after one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

from service.tickets.review import Risk, Shelf, risk_of
from service.tickets.store import TicketStore
from service.tickets.ticket import Ticket, id_at

Order = Literal["risk", "age"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which tickets: those of a shelf that were accepted at least ``older`` ago, the riskiest or the oldest first."""

    shelf: Shelf = field(default_factory=Shelf)
    older: timedelta | None = None
    order: Order = "risk"


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuePage:
    """Some waiting tickets; ``after`` continues behind them, None at the end. ``total`` counts all that are wanted."""

    tickets: tuple[Ticket, ...]
    after: str | None
    total: int


class ReviewQueue:
    """Reads the queue. Costs one range of an index per shelf and the records of one page, whatever waits in all."""

    def __init__(self, store: TicketStore, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._store = store
        self._clock = clock

    async def page(self, wanted: Wanted, *, after: str | None, limit: int) -> QueuePage:
        """The tickets behind ``after``, which is ``QueuePage.after`` of the page before or ``place(ticket)``."""
        until = id_at(self._clock() - wanted.older) if wanted.older is not None else None
        found: list[Ticket] = []
        for shelf, start in _behind(wanted, after):
            found += await self._store.waiting(shelf, after=start, until=until, limit=limit + 1 - len(found))
            if len(found) > limit:
                break
        total = await self._store.waiting_count(wanted.shelf, until=until)
        more = len(found) > limit
        return QueuePage(tickets=tuple(found[:limit]), after=place(found[limit - 1]) if more else None, total=total)


def place(ticket: Ticket) -> str:
    """Where a ticket stands in the queue, or stood before it was decided: what comes behind it is found by this."""
    return f"{risk_of(ticket.outcome)}.{ticket.id}" if ticket.outcome else ticket.id


def _behind(wanted: Wanted, after: str | None) -> list[tuple[Shelf, str | None]]:
    """The shelves still to be read, and where each begins."""
    risk, _, start = (after or "").rpartition(".")
    shelf = wanted.shelf
    if wanted.order == "age" or shelf.risk is not None:  # one index has them all in this order
        return [(shelf, start or None)]
    risks = list(Risk)
    begun = risks.index(Risk(risk)) if risk in set(Risk) else 0
    return [
        (Shelf(mission=shelf.mission, model=shelf.model, risk=one), start or None if n == 0 else None)
        for n, one in enumerate(risks[begun:])
    ]
