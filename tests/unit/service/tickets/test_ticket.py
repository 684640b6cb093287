"""The state machine: what the drawing says is what the code allows, whatever is tried in whatever order."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.judging.sampler import EvidenceKind
from service.platform.errors import Superseded, TicketStateConflict
from service.tickets.ticket import ACTIVE, TRANSITIONS, Failure, JudgedWith, Outcome, Review, State, Ticket, TicketPhoto
from vqc.verdict import Verdict

NOW = datetime(2026, 11, 22, tzinfo=UTC)
NEW = Ticket(
    id="g",
    mission="挡风板安装检查",
    evidence=EvidenceKind.SUMMARIES,
    photos=(TicketPhoto(image_id="image_1", summary="无关图片"), TicketPhoto(image_id="image_2", digest="d" * 64)),
    accepted_at=NOW,
)


def outcome(*reasons: str) -> Outcome:
    return Outcome(
        verdict=Verdict.PASS,
        reason="好",
        score=0.9,
        vote_share=1.0,
        threshold=None,
        review_reasons=reasons,
        selection={},
        trajectories=(),
    )


REVIEW = Review(verdict=Verdict.FAIL, name="王工", note="", reviewer="k", at=NOW, replaced=None)
FAILURE = Failure(kind="EngineFailed", detail="no")
STEPS = {
    "claimed": Ticket.claim,
    "decided": lambda ticket: ticket.with_outcome(ticket.fence, outcome(), NOW),
    "to review": lambda ticket: ticket.with_outcome(ticket.fence, outcome("divided_vote"), NOW),
    "attempt failed": lambda ticket: ticket.requeue(ticket.fence, FAILURE),
    "given back": lambda ticket: ticket.release(ticket.fence),
    "failed": lambda ticket: ticket.fail(ticket.fence, FAILURE, NOW),
    "cancelled": lambda ticket: ticket.cancel(NOW),
    "retried": Ticket.retry,
    "reviewed": lambda ticket: ticket.with_review(REVIEW),
    "taken back": lambda ticket: ticket.with_review(replace(REVIEW, verdict=None)),
    "sampled": lambda ticket: ticket.with_rollouts(ticket.fence, ({"candidate_index": 0},)),
}


@given(st.lists(st.sampled_from(sorted(STEPS)), max_size=30))
def test_no_order_of_steps_leaves_the_machine(names):
    ticket = NEW
    for name in names:
        try:
            after = STEPS[name](ticket)
        except (TicketStateConflict, Superseded):
            continue
        assert after.state in TRANSITIONS[ticket.state] or after.state is ticket.state is State.RUNNING
        assert after.fence >= ticket.fence
        assert after.attempts >= 0
        assert (after.finished_at is not None) == after.is_finished
        ticket = after


@given(st.lists(st.sampled_from(sorted(STEPS)), max_size=30))
def test_a_run_has_one_final_record(names):
    ticket, finals = NEW, 0
    for name in names:
        try:
            after = STEPS[name](ticket)
        except (TicketStateConflict, Superseded):
            continue
        if after.run > ticket.run:
            finals = 0
        finals += ticket.state in ACTIVE and after.state not in ACTIVE
        assert finals <= 1
        ticket = after


def test_a_claim_that_is_no_longer_in_force_changes_nothing():
    first = NEW.claim()
    second = first.claim()
    for late in (
        lambda: second.with_outcome(first.fence, outcome(), NOW),
        lambda: second.with_rollouts(first.fence, ()),
        lambda: second.fail(first.fence, FAILURE, NOW),
        lambda: second.release(first.fence),
        lambda: first.cancel(NOW).with_outcome(first.fence, outcome(), NOW),
    ):
        with pytest.raises(Superseded):
            late()


def test_giving_back_costs_no_attempt_and_dying_does():
    assert NEW.claim().release(1).attempts == 0
    assert NEW.claim().claim().attempts == 2


def test_another_pin_drops_what_the_first_had_brought_but_not_what_came_along():
    one, two = (JudgedWith(model_alias="a", model_digest=d, guidance="g", sampler="s") for d in "12")
    begun = NEW.claim().pin(1, one)
    photos = (begun.photos[0], TicketPhoto(image_id="image_2", digest="d" * 64, summary="x"))
    begun = begun.with_lines(1, (TicketPhoto(image_id="image_1", summary="无关图片", given=True), photos[1]))
    begun = begun.with_rollouts(1, ({"candidate_index": 0},))
    assert begun.pin(1, one) == begun
    again = begun.pin(1, two)
    assert [photo.summary for photo in again.photos] == ["无关图片", None]
    assert again.rollouts == ()


def test_the_verdict_in_force_is_the_last_persons_else_the_machines():
    assert NEW.verdict is None
    claimed = NEW.claim()
    assert claimed.with_outcome(1, outcome(), NOW).verdict is Verdict.PASS
    held = claimed.with_outcome(1, outcome("divided_vote"), NOW)
    assert held.verdict is None
    assert held.with_review(REVIEW).verdict is Verdict.FAIL


def test_a_refusal_says_what_may_follow():
    with pytest.raises(TicketStateConflict, match="valid after 'queued': cancelled, running"):
        NEW.retry()


def test_the_drawing_is_the_code():
    page = (Path(__file__).parents[4] / "docs" / "tickets.md").read_text("utf-8")
    drawn = re.findall(r"^\s+(\w+) --> (\w+)", page, re.MULTILINE)
    assert {(a, b) for a, b in drawn} == {(a.value, b.value) for a, after in TRANSITIONS.items() for b in after}
