"""What every store of ticket records does, whichever adapter it is. A subclass names an adapter by its ``store`` fixture."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from service.judging.sampler import EvidenceKind
from service.platform.errors import IdempotencyConflict, TicketStateConflict, UnknownTicket
from service.tickets.review import ReviewFacet, Risk
from service.tickets.store import Change, Event, Idempotency, TicketStore
from service.tickets.ticket import JudgedWith, Outcome, Review, State, Ticket, TicketPhoto, id_at, moment_of
from vqc.verdict import Verdict

START = datetime(2026, 11, 22, 8, tzinfo=UTC)
ACCEPTED = Event(name="accepted", data={"state": "queued", "词": "挡风板"})


def ticket(n: int = 0, **fields) -> Ticket:
    moment = START + timedelta(seconds=n)
    photo = TicketPhoto(image_id="image_1", name="甲.jpg", digest="d" * 64, media_type="image/jpeg")
    given = TicketPhoto(image_id="image_2", summary="BBU设备/华为,显示完整×1", given=True)
    return Ticket(
        id=id_at(moment, f"{n:020x}"),
        mission="挡风板安装检查",
        evidence=EvidenceKind.SUMMARIES,
        photos=(photo, given),
        accepted_at=moment,
        **fields,
    )


async def held(store: TicketStore, n: int, *, risky: bool, model: str = "a") -> Ticket:
    """A ticket that waits for a person."""
    outcome = Outcome(
        verdict=Verdict.PASS,
        reason="好",
        score=0.7,
        vote_share=0.6,
        threshold=None,
        review_reasons=("summaries_unclear",) if risky else ("divided_vote",),
        selection={},
        trajectories=(),
    )
    pinned = JudgedWith(model_alias="champion", model_digest=f"sha256:{model * 64}", guidance="g", sampler="s")
    new = await store.create(ticket(n), ACCEPTED, None)
    for step in (
        Ticket.claim,
        lambda record: record.pin(1, pinned),
        lambda record: record.with_outcome(1, outcome, START),
    ):
        new = await store.update(new.id, with_event(step))
    return new


def with_event(change: Callable[[Ticket], Ticket], name: str = "step", **data) -> Callable[[Ticket], Change]:
    return lambda record: (change(record), [Event(name=name, data=data)])


class TicketStoreSuite:
    async def test_a_record_comes_back_as_it_was_through_every_field(self, store: TicketStore):
        new = ticket(ticket_id="QC-1", webhook="https://a.example.com/", submitted_by="key1")
        await store.create(new, ACCEPTED, None)
        assert await store.get(new.id) == new
        pinned = JudgedWith(model_alias="champion", model_digest="m" * 64, guidance="g" * 64, sampler="s" * 64)
        outcome = Outcome(
            verdict=Verdict.FAIL,
            reason="挡风板缺失",
            score=0.822,
            vote_share=0.62,
            threshold=None,
            review_reasons=("divided_vote",),
            selection={"candidate_index": 3, "scores": {"vote_share": 0.62}},
            trajectories=({"candidate_index": 3, "text": "不通过\n理由: 挡风板缺失"},),
        )
        review = Review(verdict=Verdict.PASS, name="王工", note="", reviewer=None, at=START, replaced=Verdict.FAIL)
        steps: list[Callable[[Ticket], Ticket]] = [
            Ticket.claim,
            lambda record: record.pin(1, pinned),
            lambda record: record.with_lines(1, (replace(record.photos[0], summary="无关图片"), record.photos[1])),
            lambda record: record.with_rollouts(1, ({"candidate_index": 3, "text": "通过", "created_at": None},)),
            lambda record: record.with_outcome(1, outcome, START),
            lambda record: record.with_review(review),
        ]
        expected = new
        for step in steps:
            expected = step(expected)
            await store.update(new.id, with_event(step))
            assert await store.get(new.id) == expected
        assert expected.state is State.REVIEWED

    async def test_an_unknown_ticket_is_named(self, store: TicketStore):
        with pytest.raises(UnknownTicket, match="0123"):
            await store.get("0123")
        with pytest.raises(UnknownTicket):
            await store.update("0123", with_event(Ticket.claim))

    async def test_a_key_stands_for_one_ticket(self, store: TicketStore):
        first = await store.create(ticket(1), ACCEPTED, Idempotency(key="caller:k", digest="a"))
        again = await store.create(ticket(2), ACCEPTED, Idempotency(key="caller:k", digest="a"))
        assert again == first
        with pytest.raises(IdempotencyConflict, match=first.id):
            await store.create(ticket(3), ACCEPTED, Idempotency(key="caller:k", digest="b"))
        other = await store.create(ticket(4), ACCEPTED, Idempotency(key="other:k", digest="b"))
        assert other.id == ticket(4).id
        assert (await store.counts())[State.QUEUED] == 2

    async def test_a_key_outlives_its_ticket_without_harm(self, store: TicketStore):
        key = Idempotency(key="caller:k", digest="a")
        first = await store.create(ticket(1), ACCEPTED, key)
        await store.update(first.id, with_event(lambda record: record.cancel(START)))
        await store.remove(START + timedelta(days=1))
        again = await store.create(ticket(2), ACCEPTED, replace(key, digest="b"))
        assert again.id == ticket(2).id

    async def test_of_many_creations_with_one_key_one_is_kept(self, store: TicketStore):
        key = Idempotency(key="caller:k", digest="a")
        kept = await asyncio.gather(*(store.create(ticket(n), ACCEPTED, key) for n in range(20)))
        assert len({one.id for one in kept}) == 1
        assert (await store.counts())[State.QUEUED] == 1

    async def test_a_refused_change_changes_nothing(self, store: TicketStore):
        new = await store.create(ticket(), ACCEPTED, None)
        with pytest.raises(TicketStateConflict, match="'queued'"):
            await store.update(new.id, with_event(Ticket.retry))
        assert await store.get(new.id) == new
        assert len(await store.events(new.id, None)) == 1

    async def test_many_changes_at_once_all_happen_one_after_the_other(self, store: TicketStore):
        new = await store.create(ticket(), ACCEPTED, None)
        await asyncio.gather(*(store.update(new.id, with_event(Ticket.claim, n=n)) for n in range(20)))
        assert (await store.get(new.id)).fence == 20
        events = await store.events(new.id, None)
        assert {event.data.get("n") for event in events[1:]} == set(range(20))

    async def test_a_change_that_is_asked_for_again_is_done_once(self, store: TicketStore):
        new = await store.create(ticket(), ACCEPTED, None)
        first = await store.update(new.id, with_event(Ticket.claim), operation="a")
        assert await store.update(new.id, with_event(Ticket.claim), operation="a") == first
        assert (await store.get(new.id)).fence == 1
        assert len(await store.events(new.id, None)) == 2
        await store.update(new.id, with_event(Ticket.claim), operation="b")
        assert (
            await store.update(new.id, with_event(Ticket.claim), operation="a")
        ).fence == 3  # it is not the last any more

    async def test_of_many_final_records_one_is_kept(self, store: TicketStore):
        new = await store.create(ticket(), ACCEPTED, None)
        ends = await asyncio.gather(
            *(store.update(new.id, with_event(lambda record: record.cancel(START), "finished")) for _ in range(20)),
            return_exceptions=True,
        )
        assert sum(isinstance(end, Ticket) for end in ends) == 1
        assert [event.name for event in await store.events(new.id, None)] == ["accepted", "finished"]

    async def test_events_are_read_behind_any_of_them_and_in_order(self, store: TicketStore):
        new = await store.create(ticket(), ACCEPTED, None)
        for n in range(5):
            await store.update(new.id, with_event(Ticket.claim, n=n))
        events = await store.events(new.id, None)
        assert events[0].data == ACCEPTED.data
        assert [event.data.get("n") for event in events[1:]] == [0, 1, 2, 3, 4]
        for place, event in enumerate(events):
            assert list(await store.events(new.id, event.id)) == list(events[place + 1 :])

    async def test_waiting_for_events_ends_with_the_next_one_or_in_time(self, store: TicketStore):
        new = await store.create(ticket(), ACCEPTED, None)
        (accepted,) = await store.events(new.id, None)
        assert list(await store.events(new.id, accepted.id, wait_s=0.05)) == []
        waiting = asyncio.create_task(store.events(new.id, accepted.id, wait_s=30))
        await asyncio.sleep(0.05)
        await store.update(new.id, with_event(Ticket.claim))
        assert [event.name for event in await waiting] == ["step"]

    async def test_a_follower_waits_for_the_next_event_as_long_as_it_takes(self, store: TicketStore):
        new = await store.create(ticket(), ACCEPTED, None)
        (accepted,) = await store.events(new.id, None, wait_s=None)
        waiting = [asyncio.create_task(store.events(new.id, accepted.id, wait_s=None)) for _ in range(50)]
        given_up = waiting.pop()
        await asyncio.sleep(0.05)
        given_up.cancel()
        await store.update(new.id, with_event(Ticket.claim))
        assert [[event.name for event in found] for found in await asyncio.gather(*waiting)] == [["step"]] * 49

    async def test_a_beat_holds_while_the_claim_does(self, store: TicketStore):
        new = await store.create(ticket(), ACCEPTED, None)
        assert not await store.heartbeat(new.id, 0)
        await store.update(new.id, with_event(Ticket.claim))
        assert await store.heartbeat(new.id, 1)
        await store.update(new.id, with_event(Ticket.claim))
        assert not await store.heartbeat(new.id, 1)
        assert await store.heartbeat(new.id, 2)
        await store.update(new.id, with_event(lambda record: record.cancel(START)))
        assert not await store.heartbeat(new.id, 2)
        assert not await store.heartbeat("0123", 0)

    async def test_a_beat_changes_with_every_heartbeat_and_change_of_an_active_ticket(self, store: TicketStore):
        ids = [(await store.create(ticket(n), ACCEPTED, None)).id for n in range(3)]
        assert await store.beats() == {}
        await store.update(ids[0], with_event(Ticket.claim))
        await store.update(ids[1], with_event(lambda record: record.cancel(START)))
        beats = await store.beats()
        assert [*beats] == [ids[0]]
        assert [await store.beat(id) for id in (ids[0], ids[1], "0123")] == [beats[ids[0]], None, None]
        assert await store.beats() == beats
        seen = {beats[ids[0]]}
        for _ in range(3):
            assert await store.heartbeat(ids[0], 1)
            seen.add(str(await store.beat(ids[0])))
        assert len(seen) == 4

    async def test_a_finished_ticket_owes_its_webhook_until_it_is_delivered_or_given_up(self, store: TicketStore):
        ids = []
        for n in range(4):
            one = await store.create(ticket(n, webhook="https://a.example.com/" if n else None), ACCEPTED, None)
            await store.update(one.id, with_event(lambda record: record.cancel(START), "finished"))
            ids.append(one.id)

        async def owing() -> list[str]:
            first = await store.owing(after=None, limit=2)
            rest = await store.owing(after=first.after, limit=9) if first.after else None
            return [one.id for one in (*first.tickets, *(rest.tickets if rest else ()))]

        assert await owing() == ids[1:]
        await store.update(ids[1], with_event(lambda record: record, "webhook_delivered"))
        await store.update(ids[2], with_event(Ticket.retry, "retried"))
        assert await owing() == ids[3:]
        await store.update(ids[3], with_event(lambda record: record, "webhook_failed"))
        assert await owing() == []

    async def test_pages_hold_each_ticket_of_a_state_once_in_order(self, store: TicketStore):
        ids = [(await store.create(ticket(n), ACCEPTED, None)).id for n in range(7)]
        await store.update(ids[3], with_event(Ticket.claim))
        seen: list[str] = []
        after = None
        while True:
            page = await store.page(State.QUEUED, after=after, limit=2)
            seen += [one.id for one in page.tickets]
            if page.after is None:
                break
            after = page.after
        assert seen == ids[:3] + ids[4:]
        assert (await store.counts())[State.RUNNING] == 1
        assert (await store.page(State.FAILED, after=None, limit=2)).tickets == ()

    async def test_what_waits_for_a_person_is_found_by_mission_model_and_risk(self, store: TicketStore):
        for n in range(6):
            await held(store, n, risky=n % 2 == 0, model="ab"[n >= 4])
        await store.create(ticket(9), ACCEPTED, None)
        ids = [ticket(n).id for n in range(6)]
        model = "champion@bbbbbbbbbbbb"
        everything = ReviewFacet()
        for facet, expected in (
            (everything, ids),
            (ReviewFacet(risk=Risk.HIGH), ids[::2]),
            (ReviewFacet(risk=Risk.MEDIUM, model=model), ids[5:]),
            (ReviewFacet(mission="挡风板安装检查", model=model), ids[4:]),
            (ReviewFacet(mission="RRU线缆"), []),
        ):
            found = await store.waiting(facet, after=None, until=None, limit=10)
            assert [one.id for one in found] == expected
            assert await store.waiting_count(facet, until=None) == len(expected)
            assert (await store.facet_counts()).get(facet, 0) == len(expected)
        page = await store.waiting(everything, after=ids[1], until=ids[4], limit=10)
        assert [one.id for one in page] == ids[2:4]
        assert [one.id for one in await store.waiting(everything, after=ids[1], until=None, limit=1)] == [ids[2]]
        assert await store.waiting_count(everything, until=ids[4]) == 4

    async def test_a_decision_takes_a_ticket_off_every_shelf_and_its_undoing_puts_it_back(self, store: TicketStore):
        one, _ = await held(store, 1, risky=True), await held(store, 2, risky=False)
        before = await store.facet_counts()
        assert len(before) == 12
        review = Review(verdict=Verdict.PASS, name="王工", note="", reviewer=None, at=START, replaced=None)
        await store.update(one.id, with_event(lambda record: record.with_review(review)))
        assert len(await store.facet_counts()) == 8
        assert await store.waiting_count(ReviewFacet(risk=Risk.HIGH), until=None) == 0
        await store.update(one.id, with_event(lambda record: record.with_review(replace(review, verdict=None))))
        assert await store.facet_counts() == before
        assert await store.remove(START + timedelta(days=1)) == 0  # no one has decided
        assert await store.facet_counts() == before

    async def test_the_oldest_of_each_state_is_given_by_its_acceptance(self, store: TicketStore):
        assert await store.oldest() == {}
        ids = [(await store.create(ticket(n), ACCEPTED, None)).id for n in range(3)]
        await store.update(ids[1], with_event(Ticket.claim))
        await store.update(ids[0], with_event(lambda record: record.cancel(START)))
        oldest = await store.oldest()
        assert oldest == {
            State.QUEUED: moment_of(ids[2]),
            State.RUNNING: moment_of(ids[1]),
            State.CANCELLED: moment_of(ids[0]),
        }

    async def test_old_finished_tickets_are_deleted(self, store: TicketStore):
        ids = [(await store.create(ticket(n), ACCEPTED, None)).id for n in range(4)]
        for id in ids[:2]:
            await store.update(id, with_event(lambda record: record.cancel(START)))
        assert await store.remove(START + timedelta(seconds=1)) == 1
        with pytest.raises(UnknownTicket):
            await store.get(ids[0])
        assert list(await store.events(ids[0], None)) == []
        assert [(await store.get(id)).state for id in ids[1:]] == ["cancelled", "queued", "queued"]
