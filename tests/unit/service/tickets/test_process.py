"""One delivery of one job: whatever happens to engine, worker or caller, the record says so."""

import asyncio
from collections import Counter
from dataclasses import replace

import pytest

from engine.errors import EngineFailed, EngineRefused, EngineTimeout, EngineUnavailable
from engine.protocol import Health
from engine.scripted import ScriptedEngine
from service.guidance.edit import WrittenRule, edit_rules
from service.judging.calibration import ScoredTicket, calibrate
from service.judging.sampler import EvidenceKind, Sampler
from service.judging.thresholds import Thresholds
from service.platform.errors import QueueUnavailable
from service.tickets.manage import ManageTickets
from service.tickets.process import Redeliver, RetryPolicy
from service.tickets.ticket import State, TicketPhoto
from tests.unit.service.tickets.builders import FAIL, GOOD, MISSION, PASS, WAVES, Bench, verdicts
from vqc.grammar import SUMMARY_GRAMMAR, VERDICT_GRAMMAR
from vqc.missions import mission_named
from vqc.verdict import Verdict


@pytest.fixture
def bench(tmp_path) -> Bench:
    return Bench(tmp_path)


async def until(condition) -> None:
    async with asyncio.timeout(120):
        while not condition():
            await asyncio.sleep(0.001)


async def test_a_ticket_of_lines_is_decided_in_one_wave_when_the_votes_agree(bench):
    ticket = await bench.accept()
    assert await bench.deliver(ticket) is None
    done = await bench.store.get(ticket.id)
    assert (done.state, done.verdict, done.outcome.vote_share) == (State.DECIDED, Verdict.PASS, 1.0)
    assert done.outcome.selection["sampled"] == 4
    assert done.outcome.selection["planned"] == 12
    assert len(done.outcome.trajectories) == 4
    assert await bench.names(ticket) == ["accepted", "started", "pinned", "wave", "finished"]
    assert bench.watcher.ends == ["finished"]
    assert bench.watcher.finals == [("decided", "通过")]


async def test_photos_get_their_lines_first_and_lines_that_came_along_stay(bench):
    given = TicketPhoto(image_id="image_2", summary="无关图片", given=True)
    ticket = await bench.accept(await bench.photo(1), given, await bench.photo(3))
    await bench.deliver(ticket)
    done = await bench.store.get(ticket.id)
    assert [photo.summary for photo in done.photos] == [GOOD, "无关图片", GOOD]
    asked = [request for request in bench.engine.requests if request.grammar == SUMMARY_GRAMMAR]
    assert {request.priority for request in asked} == {5}
    assert {r.priority for r in bench.engine.requests if r.grammar == VERDICT_GRAMMAR} == {10}


async def test_images_are_shown_where_they_are_the_evidence(bench):
    ticket = await bench.accept(await bench.photo(1), await bench.photo(2), evidence=EvidenceKind.BOTH)
    await bench.deliver(ticket)
    asked = next(request for request in bench.engine.requests if request.grammar == VERDICT_GRAMMAR)
    assert sum(not isinstance(part, str) for part in asked.user) == 2


async def test_a_divided_vote_needs_a_person(bench):
    bench.adaptive = None
    engine = ScriptedEngine(lambda request, index: PASS if index % 2 else FAIL)
    ticket = await bench.accept()
    await bench.deliver(ticket, bench.process(engine=engine))
    done = await bench.store.get(ticket.id)
    assert (done.state, done.verdict) == (State.NEEDS_REVIEW, None)
    assert done.outcome.verdict is Verdict.FAIL
    assert "divided_vote" in done.outcome.review_reasons


async def test_a_photo_that_cannot_be_described_needs_a_person(bench):
    broken = TicketPhoto(image_id="image_2", digest="0" * 64, media_type="image/png")
    ticket = await bench.accept(TicketPhoto(image_id="image_1", summary=GOOD, given=True), broken)
    await bench.deliver(ticket)
    done = await bench.store.get(ticket.id)
    assert done.state is State.NEEDS_REVIEW
    assert "photo_without_line" in done.outcome.review_reasons
    assert "is not in the store" in done.photos[1].problem


async def test_a_mission_that_the_model_was_not_trained_on_needs_a_person(bench):
    for untrained, held in (({MISSION}, True), ({"another"}, False)):
        ticket = await bench.accept()
        await bench.deliver(ticket, bench.process(untrained=untrained))
        done = await bench.store.get(ticket.id)
        assert ("mission_untrained" in done.outcome.review_reasons) is held
        assert (done.state is State.NEEDS_REVIEW) is held


async def test_what_an_earlier_attempt_saved_is_not_asked_again(bench):
    bench.adaptive = None
    died = asyncio.Event()

    def fail(request):
        verdict = request.grammar == VERDICT_GRAMMAR and request.decoding.temperature == 0.9
        return EngineFailed("died here") if verdict and not died.is_set() else None

    bench.engine = ScriptedEngine(verdicts(), fail=fail, latency_s=0.01)
    ticket = await bench.accept(await bench.photo(1))
    assert await bench.deliver(ticket) == Redeliver(after_s=1)
    held = await bench.store.get(ticket.id)
    assert (held.state, held.failure.kind) == (State.QUEUED, "EngineFailed")
    saved = len(held.rollouts)
    died.set()
    bench.engine.requests.clear()
    await bench.deliver(ticket)
    done = await bench.store.get(ticket.id)
    assert (done.state, done.attempts, len(done.rollouts)) == (State.DECIDED, 2, 12)
    assert all(request.grammar == VERDICT_GRAMMAR for request in bench.engine.requests)
    assert sum(request.n for request in bench.engine.requests) == 12 - saved


async def test_an_engine_that_is_away_is_waited_for_and_costs_no_attempt(bench):
    away = asyncio.Event()
    away.set()

    class Away(ScriptedEngine):
        async def health(self) -> Health:
            return Health(ready=not away.is_set(), reason="away")

    engine = Away(verdicts(), fail=lambda request: EngineUnavailable("gone", 0.001) if away.is_set() else None)
    ticket = await bench.accept(await bench.photo(1))
    delivery = asyncio.create_task(bench.deliver(ticket, bench.process(engine=engine)))
    await until(lambda: engine.requests)
    await asyncio.sleep(0.1)
    held = await bench.store.get(ticket.id)
    assert (held.state, held.attempts) == (State.RUNNING, 1)
    away.clear()
    assert await delivery is None
    done = await bench.store.get(ticket.id)
    assert (done.state, done.attempts) == (State.DECIDED, 1)
    assert Counter(await bench.names(ticket))["waiting"] == 1


@pytest.mark.parametrize("error", [EngineFailed("no"), EngineTimeout(5), RuntimeError("a bug")])
async def test_a_poison_ticket_is_a_dead_letter_after_its_attempts(bench, error):
    def fail(request):
        raise error

    bench.engine = ScriptedEngine(verdicts(), fail=fail)
    ticket = await bench.accept()
    delays = [await bench.deliver(ticket) for _ in range(3)]
    assert delays == [Redeliver(after_s=1), Redeliver(after_s=2), None]
    dead = await bench.store.get(ticket.id)
    assert (dead.state, dead.attempts) == (State.FAILED, 3)
    assert dead.failure.kind == type(error).__name__
    assert "a bug" not in dead.failure.detail
    assert (await bench.names(ticket)).count("finished") == 1
    assert [one.id for one in (await bench.store.page(State.FAILED, after=None, limit=9)).tickets] == [ticket.id]
    assert await bench.deliver(ticket) is None  # a late delivery does nothing
    assert await bench.store.get(ticket.id) == dead


async def test_a_ticket_that_kills_its_workers_is_a_dead_letter_too(bench):
    ticket = await bench.accept()
    for _ in range(3):
        await bench.store.update(ticket.id, lambda record: (record.claim(), []))  # and the worker dies
    assert await bench.deliver(ticket) is None
    dead = await bench.store.get(ticket.id)
    assert (dead.state, dead.failure.kind) == (State.FAILED, "attempts-used-up")
    assert not bench.engine.requests
    assert bench.watcher.finals == [("failed", None)]


async def test_what_no_attempt_can_help_fails_at_once(bench):
    bench.engine = ScriptedEngine(verdicts(), fail=lambda request: EngineRefused("too long"))
    ticket = await bench.accept()
    assert await bench.deliver(ticket) is None
    dead = await bench.store.get(ticket.id)
    assert (dead.state, dead.attempts, dead.failure.detail) == (State.FAILED, 1, "too long")


async def test_a_cancelled_ticket_costs_nothing_and_a_running_one_is_aborted(bench):
    manage = ManageTickets(bench.store, bench.queue, bench.watcher)
    queued = await bench.accept()
    await manage.cancel(queued.id, "key1")
    assert await bench.deliver(queued) is None
    assert not bench.engine.requests

    bench.engine = ScriptedEngine(verdicts(), latency_s=3)
    running = await bench.accept()
    delivery = asyncio.create_task(bench.deliver(running))
    await until(lambda: bench.engine.in_flight)
    await manage.cancel(running.id, None)
    assert await delivery is None
    assert (bench.engine.aborted, bench.engine.in_flight) == (1, 0)
    assert (await bench.store.get(running.id)).state is State.CANCELLED
    assert (await bench.names(running)).count("finished") == 1
    assert bench.watcher.ends == ["superseded"]


async def test_a_cancelled_ticket_is_judged_after_a_retry(bench):
    manage = ManageTickets(bench.store, bench.queue, bench.watcher)
    ticket = await bench.accept()
    await manage.cancel(ticket.id, None)
    again = await manage.retry(ticket.id, "key1")
    assert (again.run, list(bench.queue.judging)) == (2, [again.job_id])
    assert await bench.deliver(ticket) is None  # the job of the first run
    assert (await bench.store.get(ticket.id)).state is State.QUEUED
    await bench.deliver(again)
    assert (await bench.store.get(ticket.id)).state is State.DECIDED


async def test_a_worker_that_leaves_gives_back_and_another_goes_on(bench):
    bench.adaptive = None
    slow = asyncio.Event()
    slow.set()

    class Slow(ScriptedEngine):
        async def generate(self, request):
            if slow.is_set() and request.decoding.temperature > 0.5:
                await asyncio.sleep(30)
            return await super().generate(request)

    engine = Slow(verdicts())
    ticket = await bench.accept()
    delivery = asyncio.create_task(bench.deliver(ticket, bench.process(engine=engine)))
    await until(lambda: engine.answered)
    bench.stopping.set()
    assert await delivery == Redeliver(after_s=0)
    held = await bench.store.get(ticket.id)
    assert (held.state, held.attempts, len(held.rollouts)) == (State.QUEUED, 0, 4)
    slow.clear()
    bench.stopping.clear()
    await bench.deliver(ticket, bench.process(engine=engine))
    assert (await bench.store.get(ticket.id)).attempts == 1
    assert bench.watcher.ends == ["given_back", "finished"]


async def test_a_worker_that_leaves_while_a_wave_is_saved_loses_no_job(bench):
    """The save of a wave that comes right behind the giving back must not pass for another worker's claim."""
    bench.adaptive = None
    begun = asyncio.Event()
    update = bench.store.update

    async def slowly_answered(group_id, change, **options):
        done = await update(group_id, change, **options)
        if begun.is_set():
            await asyncio.sleep(0.05)
        return done

    class Held(ScriptedEngine):
        async def generate(self, request):
            answer = await super().generate(request)
            begun.set()
            bench.stopping.set()
            await asyncio.sleep(0.02)
            return answer

    bench.store.update = slowly_answered
    ticket = await bench.accept()
    assert await bench.deliver(ticket, bench.process(engine=Held(verdicts()))) == Redeliver(after_s=0)
    assert (await bench.store.get(ticket.id)).state is State.QUEUED


async def test_a_worker_that_was_thought_dead_brings_nothing_more(bench):
    engine = ScriptedEngine(verdicts(FAIL), latency_s=0.2)
    ticket = await bench.accept()
    bench.retry_policy = RetryPolicy(heartbeat_interval_s=60, heartbeat_timeout_s=0)  # it notices nothing meanwhile
    late = asyncio.create_task(bench.deliver(ticket, bench.process(engine=engine)))
    await until(lambda: engine.in_flight)
    await bench.deliver(ticket)
    decided = await bench.store.get(ticket.id)
    assert await late is None
    assert await bench.store.get(ticket.id) == decided
    assert decided.verdict is Verdict.PASS
    assert (await bench.names(ticket)).count("finished") == 1
    assert sorted(bench.watcher.ends) == ["finished", "superseded"]


async def test_a_ticket_that_a_living_worker_has_is_left_to_it(bench):
    engine = ScriptedEngine(verdicts(), latency_s=0.3)
    bench.retry_policy = RetryPolicy(heartbeat_interval_s=0.01, heartbeat_timeout_s=5)
    ticket = await bench.accept()
    first = asyncio.create_task(bench.deliver(ticket, bench.process(engine=engine)))
    await until(lambda: engine.in_flight)
    assert await bench.deliver(ticket) == Redeliver(after_s=5)
    assert await first is None
    done = await bench.store.get(ticket.id)
    assert (done.state, done.attempts, done.fence) == (State.DECIDED, 1, 1)


async def test_another_model_begins_the_ticket_again(bench):
    bench.adaptive = None
    died = asyncio.Event()
    fail = lambda r: EngineFailed("x") if r.decoding.temperature == 0.9 and not died.is_set() else None  # noqa: E731
    bench.engine = ScriptedEngine(verdicts(), fail=fail, latency_s=0.01)
    ticket = await bench.accept(await bench.photo(1))
    await bench.deliver(ticket, bench.process(model="a" * 64))
    assert len((await bench.store.get(ticket.id)).rollouts) > 0
    died.set()
    bench.engine.requests.clear()
    await bench.deliver(ticket, bench.process(model="b" * 64))
    done = await bench.store.get(ticket.id)
    assert done.pinned.model_digest == "b" * 64
    assert Counter(request.grammar for request in bench.engine.requests) == {SUMMARY_GRAMMAR: 1, VERDICT_GRAMMAR: 3}


async def test_guidance_that_changes_meanwhile_does_not_touch_a_begun_ticket(bench):
    mission = mission_named("挡风板安装检查")
    before = bench.guidance.active_version(mission)
    bench.guidance.approve(mission, before, expected=before.digest, by="test")
    died = asyncio.Event()
    bench.engine = ScriptedEngine(verdicts(), fail=lambda request: None if died.is_set() else EngineFailed("x"))
    ticket = await bench.accept()
    await bench.deliver(ticket)
    after = edit_rules(before, [WrittenRule(text="机柜空间不足时无需安装")])
    bench.guidance.approve(mission, after, expected=before.digest, by="test")
    died.set()
    await bench.deliver(ticket)
    assert (await bench.store.get(ticket.id)).pinned.guidance == before.digest
    other = await bench.accept()
    await bench.deliver(other)
    assert (await bench.store.get(other.id)).pinned.guidance == after.digest


async def test_a_store_that_is_away_loses_nothing_that_was_worked_out(bench):
    ticket = await bench.accept()
    update, refused = bench.store.update, Counter()

    async def moody(group_id, change, **options):
        if bench.engine.answered and refused["n"] < 5:
            refused["n"] += 1
            raise QueueUnavailable("restarting")
        return await update(group_id, change, **options)

    bench.store.update = moody
    assert await bench.deliver(ticket) is None
    done = await bench.store.get(ticket.id)
    assert (done.state, done.attempts, refused["n"]) == (State.DECIDED, 1, 5)
    assert bench.engine.answered == 1


async def test_an_answer_of_the_store_that_is_lost_costs_no_attempt(bench):
    ticket = await bench.accept()
    update, lost = bench.store.update, []

    async def lossy(group_id, change, **options):
        done = await update(group_id, change, **options)
        if done not in lost:
            lost.append(done)
            await asyncio.sleep(5 * bench.retry_policy.heartbeat_interval_s)  # beats in between find what was saved
            raise QueueUnavailable("restarting")
        return done

    bench.store.update = lossy
    assert await bench.deliver(ticket) is None
    done = await bench.store.get(ticket.id)
    assert (done.state, done.attempts, len(lost)) == (State.DECIDED, 1, 4)
    assert await bench.names(ticket) == ["accepted", "started", "pinned", "wave", "finished"]
    assert bench.watcher.finals == [("decided", "通过")]


async def test_the_webhook_of_a_finished_ticket_is_queued_whichever_worker_finished_it(bench):
    ticket = await bench.accept(webhook="https://a.example.com/")
    await bench.deliver(ticket)
    assert list(bench.queue.notifying) == [ticket.job_id]
    bench.queue.notifying.clear()  # the worker died before it could queue it, and the job came again
    await bench.deliver(ticket)
    assert list(bench.queue.notifying) == [ticket.job_id]


async def test_a_calibrated_threshold_holds_back_a_pass_below_it(bench):
    calibration = calibrate([ScoredTicket(verdict=Verdict.PASS, score=1.5, label=Verdict.PASS)])
    held = replace(calibration, threshold=0.99)
    sampler = Sampler(waves=WAVES, evidence=EvidenceKind.SUMMARIES, adaptive=bench.adaptive)
    guidance = bench.guidance.active_version(mission_named(MISSION))
    Thresholds(bench.root).put(held, guidance, model=bench.model, sampler=sampler.digest)
    ticket = await bench.accept()
    await bench.deliver(ticket)
    done = await bench.store.get(ticket.id)
    assert (done.state, done.outcome.verdict, done.outcome.threshold) == (State.NEEDS_REVIEW, Verdict.PASS, 0.99)
    assert done.outcome.review_reasons == ("above_risk",)
    assert done.outcome.score < 0.99
    other = await bench.accept()  # made for another model: does not hold
    await bench.deliver(other, bench.process(model="x" * 64))
    assert (await bench.store.get(other.id)).state is State.DECIDED
