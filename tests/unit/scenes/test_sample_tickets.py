"""The shipped sample tickets are what the generator writes, with the noise and the unseen failures that were asked for."""

import json
from pathlib import Path

from scenes.sample_tickets import COUNT, MISSIONS, write_sample_tickets
from scenes.tickets import draw_ticket, plan_ticket
from service.learning.labelled_tickets import ingest
from vqc.missions import missions
from vqc.parser import Status
from vqc.summary import parse, render

SHIPPED = Path("deploy/demo/tickets/stage_a.jsonl")


def test_the_shipped_tickets_are_the_generators(tmp_path):
    assert write_sample_tickets(tmp_path).read_bytes() == SHIPPED.read_bytes()
    assert SHIPPED.stat().st_size < 1_000_000


def test_every_line_is_a_ticket_and_the_planted_shares_are_there():
    lines = SHIPPED.read_text("utf-8").splitlines()
    found = ingest([(str(n), line) for n, line in enumerate(lines)], missions())
    assert (len(found.tickets), found.rejected) == (COUNT, ())
    assert {one.mission.name for one in found.tickets} == set(MISSIONS)
    assert all(parse(line).status is Status.PARSED for one in found.tickets for line in one.summaries)
    noisy = sum(one.label is not one.true_label for one in found.tickets)
    hidden = sum(json.loads(line)["hidden"] for line in lines)
    assert 0.03 * COUNT < noisy < 0.09 * COUNT
    assert 0.06 * COUNT < hidden < 0.14 * COUNT


def test_a_planned_ticket_is_the_painted_one_before_it_is_painted():
    plan, ticket = (make(9, MISSIONS[1], size_wh=(256, 192)) for make in (plan_ticket, draw_ticket))
    assert (plan.group_id, plan.label, plan.reason) == (ticket.group_id, ticket.label, ticket.reason)
    assert [render(one.summary) for one in plan.photos] == [render(one.summary) for one in ticket.photos]
