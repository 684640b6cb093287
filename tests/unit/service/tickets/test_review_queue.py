"""The queue that people work through: order, filters, pages, the next one; and decisions that do not overwrite each other."""

from datetime import UTC, datetime, timedelta

import pytest

from service.platform.errors import ReviewConflict, TicketStateConflict
from service.tickets.manage import ManageTickets
from service.tickets.memory_store import MemoryQueue, MemoryTicketStore
from service.tickets.ports import TicketObserver
from service.tickets.review import ReviewFacet, Risk
from service.tickets.review_queue import ReviewQuery, ReviewQueue, place
from service.tickets.ticket import State
from tests.support.ticket_store_suite import START, held
from vqc.verdict import Verdict


@pytest.fixture
def store():
    return MemoryTicketStore()


def queue_at(store, **after) -> ReviewQueue:
    return ReviewQueue(store, clock=lambda: START + timedelta(**after))


async def filled(store, risky: str) -> list[str]:
    return [(await held(store, n, risky=one == "!")).id for n, one in enumerate(risky)]


async def walked(queue: ReviewQueue, query: ReviewQuery, limit: int) -> list[str]:
    seen, after = [], None
    while True:
        page = await queue.page(query, after=after, limit=limit)
        seen += [one.id for one in page.tickets]
        after = page.after
        if after is None:
            return seen


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 20])
async def test_the_riskiest_come_first_and_among_them_the_oldest(store, limit):
    ids = await filled(store, ".!..!.!")
    queue = queue_at(store, hours=1)
    assert await walked(queue, ReviewQuery(), limit) == [ids[n] for n in (1, 4, 6, 0, 2, 3, 5)]
    assert await walked(queue, ReviewQuery(order="age"), limit) == ids
    assert await walked(queue, ReviewQuery(facet=ReviewFacet(risk=Risk.HIGH)), limit) == [ids[n] for n in (1, 4, 6)]


async def test_age_counts_from_acceptance_and_the_total_is_of_what_is_wanted(store):
    ids = await filled(store, "!.!.")
    page = await queue_at(store, seconds=62, milliseconds=500).page(
        ReviewQuery(older=timedelta(minutes=1)), after=None, limit=10
    )
    assert ([one.id for one in page.tickets], page.total) == ([ids[0], ids[2], ids[1]], 3)


async def test_the_next_ticket_is_the_one_behind_even_when_this_one_was_decided(store):
    ids = await filled(store, "!.!.")
    queue = queue_at(store, hours=1)
    first = await store.get(ids[2])
    await ManageTickets(store, MemoryQueue(), TicketObserver()).review(
        first.id, verdict=Verdict.PASS, name="王工", note="", by=None
    )
    behind = await queue.page(ReviewQuery(), after=place(await store.get(first.id)), limit=1)
    assert [one.id for one in behind.tickets] == [ids[1]]


async def test_who_looked_at_an_older_revision_does_not_overwrite(store):
    (one,) = await filled(store, "!")
    manage = ManageTickets(store, MemoryQueue(), TicketObserver(), clock=lambda: datetime(2026, 11, 24, tzinfo=UTC))
    given = {"name": "王工", "note": "", "by": None}
    decided = await manage.review(one, verdict=Verdict.FAIL, revision=0, **given)
    assert (decided.verdict, decided.revision) == (Verdict.FAIL, 1)
    with pytest.raises(ReviewConflict, match="revision 1 by now, not 0"):
        await manage.review(one, verdict=Verdict.PASS, revision=0, **given)
    back = await manage.review(one, verdict=None, revision=1, **given)
    assert (back.state, back.verdict, back.revision) == (State.NEEDS_REVIEW, None, 2)
    assert [review.verdict for review in back.reviews] == [Verdict.FAIL, None]
    with pytest.raises(TicketStateConflict, match="not reviewed"):
        await manage.review(one, verdict=None, revision=2, **given)
    again = await manage.review(one, verdict=Verdict.PASS, **given)
    assert (again.state, again.verdict) == (State.REVIEWED, Verdict.PASS)
