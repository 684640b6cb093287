"""What may leave without a person, seen on the ticket's record: the scripted model says 通过 to everything."""

import pytest

from engine.scripted import ScriptedEngine
from service.guidance.edit import WrittenRule, edit_rules
from service.judging.calibration import ScoredTicket, calibrate
from service.judging.decision import ReleaseRule
from service.judging.sampler import EvidenceKind, Sampler
from service.judging.thresholds import Thresholds
from service.tickets.ticket import State
from tests.unit.service.tickets.builders import MISSION, PASS, WAVES, Bench
from vqc.grammar import VERDICT_GRAMMAR
from vqc.missions import mission_named
from vqc.verdict import Verdict

LAX = [ScoredTicket(verdict=Verdict.PASS, score=0.0, label=Verdict.PASS)]
LAX += [ScoredTicket(verdict=Verdict.FAIL, score=0.0, label=Verdict.FAIL)] * 90
"""Tickets on which every score is certified: only the other gates can hold a 通过 back."""


@pytest.fixture
def bench(tmp_path) -> Bench:
    return Bench(tmp_path, release=ReleaseRule.CALIBRATED)


def calibrate_mission(bench) -> None:
    sampler = Sampler(waves=WAVES, evidence=EvidenceKind.SUMMARIES, adaptive=bench.adaptive)
    found, guidance = calibrate(LAX), bench.guidance.active_version(mission_named(MISSION))
    assert found.releases(Verdict.PASS, 0.0)
    Thresholds(bench.root).put(found, guidance, model=bench.model, sampler=sampler.digest)


async def finished(bench, *photos, **options):
    ticket = await bench.accept(*photos)
    await bench.deliver(ticket, bench.process(**options))
    return await bench.store.get(ticket.id)


@pytest.mark.parametrize("line", ["ODF/显示完整×1", "接地排/显示完整×2", "标签/无法识别×1", "无关图片"])
@pytest.mark.parametrize("rule", [ReleaseRule.CALIBRATED, ReleaseRule.RULES])
async def test_photos_of_something_else_release_no_pass_however_sure_the_model_is(bench, line, rule):
    bench.release = rule
    calibrate_mission(bench)
    engine = ScriptedEngine(lambda request, index: PASS if request.grammar == VERDICT_GRAMMAR else line)
    done = await finished(bench, await bench.photo(1), await bench.photo(2), engine=engine)
    assert [photo.summary for photo in done.photos] == [line, line]
    assert (done.state, done.verdict, done.outcome.verdict) == (State.NEEDS_REVIEW, None, Verdict.PASS)
    assert "evidence_missing" in done.outcome.review_reasons
    assert done.outcome.missing == ("BBU设备", "挡风板")


async def test_a_promotion_or_a_change_of_guidance_ends_the_release_until_the_next_calibration(bench):
    assert (await finished(bench)).outcome.review_reasons == ("not_calibrated",)
    calibrate_mission(bench)
    assert (await finished(bench)).state is State.DECIDED
    promoted = await finished(bench, model="x" * 64)
    assert (promoted.state, promoted.outcome.review_reasons) == (State.NEEDS_REVIEW, ("not_calibrated",))
    mission = mission_named(MISSION)
    before = bench.guidance.active_version(mission)
    after = edit_rules(before, [WrittenRule(text="螺丝齐全")])
    bench.guidance.approve(mission, after, expected=before.digest, by="王工")
    assert (await finished(bench)).outcome.review_reasons == ("not_calibrated",)
    calibrate_mission(bench)
    assert (await finished(bench)).state is State.DECIDED
