"""Laws of Stage-B that take many tickets to show. Counts on set vote probabilities; no clock."""

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.plausible import verdict_script
from engine.protocol import DecodingParams
from engine.scripted import ScriptedEngine
from service.guidance.guidance import first_version
from service.judging.calibration import Calibration, ScoredTicket, calibrate
from service.judging.decision import decide
from service.judging.evidence import Polarity, evidence
from service.judging.judge import judge
from service.judging.judge_ticket import JudgeTicket, TicketInput
from service.judging.rollouts import plan
from service.judging.sampler import Sampler
from tests.support.parsed_rollouts import rollouts
from vqc.missions import mission_named
from vqc.verdict import Verdict

MISSION = mission_named("挡风板安装检查")
GRID = [DecodingParams(max_new_tokens=64, temperature=t, seed=s) for t, s in ((0.3, 0), (0.6, 100), (0.9, 200))]
WHOLE = Sampler(waves=plan(GRID, 4))


def tickets(seed, count, share):
    """Tickets that name their own probability of 不通过, drawn by ``share``."""
    rng = random.Random(seed)
    for n in range(count):
        line = f"BBU设备/华为,显示完整,无需安装×1，备注: {n} p={share(rng):.4f}"
        yield TicketInput(group_id=f"QC-{n}", mission=MISSION, summaries=(line,))


def probability(request):
    return float("".join(part for part in request.user if isinstance(part, str)).partition("p=")[2][:6])


async def verdicts(cases, sampler):
    judge = JudgeTicket(ScriptedEngine(verdict_script(probability)))
    found = []
    for case in cases:
        found.append(
            await judge(case, guidance=first_version(MISSION), sampler=sampler, request_id=case.group_id, timeout_s=60)
        )
    return found


def agreeing(rng):
    """Nineteen votes of twenty, or more, are the same."""
    minority = rng.uniform(0, 0.05)
    return minority if rng.random() < 0.5 else 1 - minority


async def test_agreeing_tickets_take_less_than_half_the_samples_and_keep_their_verdicts():
    cases = list(tickets(1, 600, agreeing))
    whole = await verdicts(cases, WHOLE)
    early = await verdicts(cases, replace(WHOLE, adaptive=0.95))
    drawn = sum(len(one.rollouts) for one in early)
    changed = sum(a.selection.verdict is not b.selection.verdict for a, b in zip(whole, early, strict=True))
    assert sum(len(one.rollouts) for one in whole) == 600 * 12
    assert drawn <= 0.5 * 600 * 12
    assert changed <= 0.01 * 600


async def test_divided_tickets_are_not_settled_by_luck_more_often_than_the_threshold_says():
    """Votes of a fair coin: a first wave of four equal ones, at 0.95, happens to one ticket in eight."""
    early = await verdicts(list(tickets(2, 400, lambda rng: 0.5)), replace(WHOLE, adaptive=0.95))
    stopped = sum(len(one.rollouts) < 12 for one in early)
    settled = sum(len(one.rollouts) == 4 for one in early)
    assert 0 < settled <= 400 / 8 + 3 * (400 / 8 * 7 / 8) ** 0.5
    assert stopped < 400 / 2


@pytest.mark.parametrize(("budget", "delta"), [(0.05, 0.1), (0.1, 0.2)])
def test_calibrated_false_release_exceeds_the_budget_no_more_often_than_stated(budget, delta):
    """200 draws of 200 failed tickets, 60 % of them given 通过 with a uniform score: the true risk at t is 0.6·(1 - t)."""
    exceeded = 0
    for draw in range(200):
        rng = random.Random(f"{budget}/{draw}")
        failed = [
            ScoredTicket(
                verdict=Verdict.PASS if rng.random() < 0.6 else Verdict.FAIL, score=rng.random(), label=Verdict.FAIL
            )
            for _ in range(200)
        ]
        passed = [
            ScoredTicket(verdict=Verdict.PASS, score=max(rng.random(), rng.random()), label=Verdict.PASS)
            for _ in range(200)
        ]
        threshold = calibrate([*failed, *passed], budget=budget, delta=delta).threshold
        exceeded += threshold is not None and 0.6 * (1 - threshold) > budget
    assert exceeded <= 200 * delta


CALIBRATIONS = st.none() | st.builds(
    Calibration,
    threshold=st.none() | st.floats(0, 1),
    budget=st.just(0.05),
    delta=st.just(0.1),
    failed=st.just(90),
    released_failed=st.just(0),
    coverage=st.just(0.5),
    risk_bound=st.just(0.03),
)
LINES = st.lists(
    st.sampled_from(["BBU设备/华为,显示完整,无需安装×1", "BBU设备/华为,显示完整×1", "无关图片", "？"]), max_size=3
)
TEXTS = st.lists(
    st.sampled_from(["通过\n理由: BBU设备无需安装挡风板", "不通过\n理由: 挡风板缺失", "…"]), min_size=1, max_size=5
)


@given(LINES, TEXTS, CALIBRATIONS)
def test_no_pass_leaves_without_its_evidence_and_a_calibration_that_accepts_it(lines, texts, calibration):
    """Law 9, whatever the lines, the votes and the calibration."""
    shown = evidence(MISSION, lines)
    for chosen in judge(MISSION, lines, rollouts(texts)):
        decision = decide(MISSION, chosen, shown, calibration)
        if decision.verdict is Verdict.PASS:
            assert calibration is not None
            assert calibration.threshold is not None
            assert chosen.merit.semantic_advantage >= calibration.threshold
            assert all(item.polarity is not Polarity.MISSING for item in shown.items if item.required)
        assert (decision.verdict is None) == bool(decision.reasons)
