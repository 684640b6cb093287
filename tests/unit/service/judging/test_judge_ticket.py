import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from engine.errors import EngineFailed
from engine.plausible import verdict_script
from engine.protocol import DecodingParams
from engine.scripted import ScriptedEngine
from service.guidance.guidance import Add, apply_operations, first_version
from service.judging.calibration import Calibration
from service.judging.decision import ReviewReason
from service.judging.judge_ticket import JudgeTicket, TicketInput
from service.judging.rollouts import plan, restore_rollout
from service.judging.sampler import EvidenceKind, Sampler
from service.photos.caption import PRIORITY as CAPTION_PRIORITY
from vqc.errors import InvalidValue
from vqc.image import EncodedPhoto
from vqc.missions import mission_named
from vqc.verdict import Verdict

MISSION = mission_named("挡风板安装检查")
MET = "BBU设备/华为,显示完整,无需安装×1"
TICKET = TicketInput(group_id="QC-0001", mission=MISSION, summaries=(MET,))
PHOTO = EncodedPhoto(data=b"jpeg", media_type="image/jpeg", digest="0" * 64)
GRID = [DecodingParams(max_new_tokens=64, temperature=t, seed=s) for t, s in ((0.3, 0), (0.6, 100), (0.9, 200))]
WHOLE = Sampler(waves=plan(GRID, 4))
ADAPTIVE = replace(WHOLE, adaptive=0.95)
NOON = datetime(2025, 11, 3, 12, tzinfo=UTC)


async def judged(engine, ticket=TICKET, sampler=WHOLE, guidance=None, **more):
    judge = JudgeTicket(engine, clock=lambda: NOON)
    return await judge(
        ticket, guidance=guidance or first_version(MISSION), sampler=sampler, request_id="r", timeout_s=120, **more
    )


def failing(share):
    return ScriptedEngine(verdict_script(lambda request: share))


async def test_a_ticket_is_one_request_per_entry_of_the_grid():
    engine = failing(1.0)
    found = await judged(engine)
    assert [(one.n, one.decoding.seed, one.decoding.temperature) for one in engine.requests] == [
        (4, 0, 0.3),
        (4, 100, 0.6),
        (4, 200, 0.9),
    ]
    assert [one.candidate_index for one in found.rollouts] == list(range(12))
    assert (found.selection.verdict, found.decision.verdict) == (Verdict.FAIL, Verdict.FAIL)
    assert {one.created_at for one in found.rollouts} == {NOON}
    assert all(one.priority > CAPTION_PRIORITY for one in engine.requests)


async def test_the_prompt_has_focus_summaries_and_rules_in_that_order():
    engine = failing(0.0)
    guidance = apply_operations(first_version(MISSION), [Add(text="新规则", evidence=("QC-9",))])
    await judged(engine, guidance=replace(guidance, focus="另一重点"))
    before, after = (part for part in engine.requests[0].user if isinstance(part, str))
    assert "任务重点：另一重点" in before
    assert after.index(MET) < after.index("[G0] 新规则")


@pytest.mark.parametrize(
    ("evidence", "images", "shows_line"), [("summaries", 0, True), ("images", 1, False), ("both", 1, True)]
)
async def test_evidence_is_what_the_model_is_shown(evidence, images, shows_line):
    engine = failing(0.0)
    sampler = replace(WHOLE, evidence=EvidenceKind(evidence))
    await judged(engine, replace(TICKET, photos=(PHOTO,)), sampler)
    user = engine.requests[0].user
    assert sum(isinstance(part, EncodedPhoto) for part in user) == images
    assert any(isinstance(part, str) and MET in part for part in user) is shows_line


@pytest.mark.parametrize(
    ("evidence", "ticket", "field"),
    [("images", TICKET, "photos"), ("both", replace(TICKET, summaries=(), photos=(PHOTO,)), "summaries")],
)
async def test_missing_evidence_is_an_error(evidence, ticket, field):
    with pytest.raises(InvalidValue, match=field):
        await judged(failing(0.0), ticket, replace(WHOLE, evidence=EvidenceKind(evidence)))


async def test_agreeing_votes_stop_early_and_skip_the_rest():
    engine = failing(0.0)
    found = await judged(engine, sampler=ADAPTIVE)
    assert (len(found.rollouts), found.planned, engine.answered) == (4, 12, 1)
    assert found.selection.verdict is Verdict.PASS


def alternating(request, index):
    return "通过\n理由: BBU设备" if index % 2 else "不通过\n理由: 挡风板缺失"


async def test_divided_votes_are_sampled_to_the_end_and_reviewed():
    found = await judged(ScriptedEngine(alternating), sampler=ADAPTIVE)
    assert len(found.rollouts) == 12
    assert found.decision.reasons == (ReviewReason.DIVIDED_VOTE,)


async def test_a_ticket_without_a_parsed_rollout_needs_a_person():
    found = await judged(ScriptedEngine(lambda request, index: "建议复核"))
    assert (found.judgements, found.chosen, found.selection.verdict) == ((), None, None)
    assert found.decision.reasons == (ReviewReason.NO_VERDICT,)
    assert len(found.rollouts) == 12


async def test_a_calibrated_threshold_holds_a_pass_back():
    strict = Calibration(
        threshold=None, budget=0.05, delta=0.1, failed=3, released_failed=0, coverage=0.5, risk_bound=0.0
    )
    found = await judged(failing(0.0), calibration=strict)
    assert (found.selection.verdict, found.decision.verdict) == (Verdict.PASS, None)
    assert ReviewReason.ABOVE_RISK in found.decision.reasons


@pytest.mark.parametrize("sampler", [WHOLE, ADAPTIVE], ids=["whole", "adaptive"])
@pytest.mark.parametrize("waves", [1, 2, 3])
async def test_an_interrupted_ticket_continues_without_repeating_requests(sampler, waves):
    whole = await judged(ScriptedEngine(alternating), sampler=sampler)
    kept = [one.record for one in whole.rollouts][: 4 * waves]
    engine = ScriptedEngine(alternating)
    found = await judged(engine, sampler=sampler, finished=[restore_rollout(sampler.waves, one) for one in kept])
    assert found == whole
    assert engine.answered == 3 - waves


async def test_an_incomplete_wave_is_requested_again_as_a_whole():
    whole = await judged(failing(0.0))
    engine = failing(0.0)
    assert await judged(engine, finished=whole.rollouts[:6]) == whole
    assert engine.answered == 2


async def test_each_wave_is_reported_with_the_votes_so_far():
    told = []

    async def hear(wave):
        told.append((wave.index, len(wave.rollouts), wave.passes, wave.fails, wave.sampled, wave.planned))

    await judged(failing(1.0), sampler=replace(WHOLE, adaptive=0.999), on_wave=hear)
    assert told == [(0, 4, 0, 4, 4, 12), (1, 4, 0, 8, 8, 12)]


async def test_an_engine_that_fails_ends_the_ticket_with_its_own_error():
    failure = EngineFailed("out of memory")
    engine = ScriptedEngine(fail=lambda request: failure if request.decoding.seed == 100 else None, latency_s=0)
    with pytest.raises(EngineFailed, match="out of memory"):
        await judged(engine)


async def test_cancelling_aborts_every_wave():
    engine = ScriptedEngine(latency_s=60)
    task = asyncio.create_task(judged(engine))
    while engine.in_flight < 3:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (engine.in_flight, engine.aborted) == (0, 3)


async def test_the_label_changes_the_scores_and_nothing_that_is_selected_or_decided():
    found = [await judged(ScriptedEngine(alternating), replace(TICKET, label=label)) for label in (None, *Verdict)]
    assert len({(one.selection, one.decision) for one in found}) == 1
    assert len({one.judgements[0].label_match for one in found}) == 3
