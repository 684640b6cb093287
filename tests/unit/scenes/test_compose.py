"""Composed tickets deserve their verdicts, for every reason that a ticket can have."""

from __future__ import annotations

import random
from functools import cache

import pytest

from scenes.compose import ComposedTicket, MissionPhotos, PhotoFacts
from scenes.lessons import plan_lesson
from scenes.rules import RULES, true_verdict
from scenes.tickets import CARRIER
from vqc.summary import render
from vqc.verdict import Verdict


@cache
def pool() -> tuple[PhotoFacts, ...]:
    plans = [plan_lesson(seed) for seed in range(1500)]
    return tuple(
        PhotoFacts(
            image=f"{n}.jpg",
            theme=plan.theme,
            descs=tuple(item.desc for item in plan.objects),
            line=render(plan.summary),
            hidden=plan.hidden,
        )
        for n, plan in enumerate(plans)
    )


def composed(mission: str, *, lines_only: bool = False) -> list[ComposedTicket]:
    photos = MissionPhotos(mission, pool())
    return [photos.compose(random.Random(seed), lines_only=lines_only) for seed in range(120)]


def names_hidden_flaw(mission: str, ticket: ComposedTicket) -> bool:
    flaw = RULES[mission].hidden
    return flaw is not None and ticket.answer.reason.endswith(flaw.value)


@pytest.mark.parametrize("mission", RULES)
def test_a_composed_ticket_has_the_verdict_of_the_rules(mission: str) -> None:
    drawn = composed(mission)
    for ticket in drawn:
        by_labels = true_verdict(mission, [photo.descs for photo in ticket.photos])
        if names_hidden_flaw(mission, ticket):
            assert by_labels.verdict is Verdict.PASS
            assert any(
                photo.hidden and any(desc.startswith(CARRIER[photo.hidden]) for desc in photo.descs)
                for photo in ticket.photos
            )
        else:
            assert ticket.answer == by_labels
    reasons = {ticket.answer.reason.lstrip("图0123456789") for ticket in drawn}
    assert len({ticket.answer.verdict for ticket in drawn}) == 2
    assert any("未见" in reason for reason in reasons)
    assert any(names_hidden_flaw(mission, ticket) for ticket in drawn)
    assert {len(ticket.photos) for ticket in drawn} >= {1, 2, 3, 4}


def test_lines_alone_tell_of_no_hidden_flaw() -> None:
    mission = "BBU接地线检查"
    assert not any(names_hidden_flaw(mission, ticket) for ticket in composed(mission, lines_only=True))


def test_what_shows_nothing_stands_in_tickets_of_both_verdicts() -> None:
    drawn = composed("挡风板安装检查")
    empty = {ticket.answer.verdict for ticket in drawn if any(not photo.descs for photo in ticket.photos)}
    assert empty == set(Verdict)
