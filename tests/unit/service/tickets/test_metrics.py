"""What the metrics of tickets say after one was judged and reviewed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import CollectorRegistry

from engine.scripted import ScriptedEngine
from service.tickets.manage import ManageTickets
from service.tickets.metrics import TicketMetrics
from service.tickets.ports import QueueDepth
from service.tickets.ticket import State
from tests.unit.service.tickets.builders import MISSION, PASS, Bench, verdicts
from vqc.verdict import Verdict


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def bench(tmp_path, registry) -> Bench:
    made = Bench(tmp_path)
    made.watcher = TicketMetrics(registry)
    return made


async def test_a_judged_ticket_is_counted_by_verdict_votes_and_stages(bench, registry):
    ticket = await bench.accept(await bench.photo())
    await bench.deliver(ticket)
    value = registry.get_sample_value
    taken = value("vqc_group_samples_total", {"kind": "taken"})
    assert taken
    assert value("vqc_group_samples_total", {"kind": "left_out"}) == 12 - taken
    assert value("vqc_group_rollouts_total", {"outcome": "pass"}) == taken
    assert value("vqc_group_verdicts_total", {"mission": MISSION, "verdict": "pass"}) == 1
    assert value("vqc_group_vote_share_sum") == 1
    assert value("vqc_group_wave_seconds_count") == taken / 4
    assert value("vqc_group_tokens_total", {"kind": "completion"})
    for stage in ("stage_a", "stage_b"):
        assert value("vqc_group_stage_seconds_count", {"stage": stage}) == 1
    assert value("vqc_groups_finished_total", {"state": "decided", "verdict": "pass"}) == 1


async def test_unreadable_verdicts_go_to_a_person_with_their_reason(bench, registry):
    bench.engine = ScriptedEngine(verdicts("maybe"))
    await bench.deliver(await bench.accept())
    value = registry.get_sample_value
    assert value("vqc_group_rollouts_total", {"outcome": "malformed"}) == 12
    assert value("vqc_group_review_reasons_total", {"reason": "no_verdict"}) == 1
    assert value("vqc_group_verdicts_total", {"mission": MISSION, "verdict": "none"}) == 1


async def test_a_review_says_what_it_replaced_so_that_false_releases_can_be_counted(bench, registry):
    bench.engine = ScriptedEngine(verdicts(PASS))
    ticket = await bench.accept()
    await bench.deliver(ticket)
    later = datetime.now(UTC) + timedelta(hours=2)
    manage = ManageTickets(bench.store, bench.queue, bench.watcher, lambda: later)
    for verdict in (Verdict.FAIL, Verdict.PASS):
        await manage.review(ticket.id, verdict=verdict, name="inspector", note="", by=None)
    value = registry.get_sample_value
    assert value("vqc_reviews_total", {"was": "decided", "machine": "pass", "person": "fail"}) == 1
    assert value("vqc_reviews_total", {"was": "reviewed", "machine": "pass", "person": "pass"}) == 1
    assert value("vqc_review_seconds_bucket", {"le": "3600.0"}) == 0
    assert value("vqc_review_seconds_bucket", {"le": "14400.0"}) == 2


def test_a_queue_that_is_away_shows_no_old_figures(registry):
    metrics = TicketMetrics(registry)
    hour_ago = datetime.now(UTC) - timedelta(hours=1)
    depth = QueueDepth(lag=1, pending=2, delayed=3, unreadable=5)
    metrics.set_queue(dict.fromkeys(State, 2), {State.QUEUED: hour_ago}, depth, unreadable=4, unsafe=True)
    found = [registry.get_sample_value("vqc_unreadable", {"kind": kind}) for kind in ("record", "job")]
    assert (found, registry.get_sample_value("vqc_redis_unsafe")) == ([4, 5], 1)
    oldest = registry.get_sample_value("vqc_group_oldest_seconds", {"state": "queued"})
    assert oldest == pytest.approx(3600, abs=60)
    assert registry.get_sample_value("vqc_group_oldest_seconds", {"state": "needs_review"}) == 0
    metrics.clear_queue()
    assert registry.get_sample_value("vqc_queue_up") == 0
    for name in ("vqc_group_oldest_seconds", "vqc_groups"):
        assert registry.get_sample_value(name, {"state": "queued"}) is None
