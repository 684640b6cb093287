import pytest

from service.judging.calibration import Calibration
from service.judging.decision import ReleaseRule, ReviewReason, VerdictDecision, decide
from service.judging.evidence import evidence
from service.judging.judge import judge
from tests.support.parsed_rollouts import rollouts
from vqc.missions import mission_named
from vqc.verdict import Verdict

MISSION = mission_named("挡风板安装检查")
MET = "BBU设备/华为,显示完整,无需安装×1"
UNSEEN = "BBU设备/华为,显示完整×1"
FAIL, PASS = "不通过\n理由: 挡风板缺失", "通过\n理由: BBU设备无需安装挡风板"
CALIBRATED, RULES, ALWAYS = ReleaseRule
DIVIDED, UNCLEAR, MISSING, UNCALIBRATED, RISK = (
    ReviewReason.DIVIDED_VOTE,
    ReviewReason.SUMMARIES_UNCLEAR,
    ReviewReason.EVIDENCE_MISSING,
    ReviewReason.NOT_CALIBRATED,
    ReviewReason.ABOVE_RISK,
)


def calibrated(threshold):
    return Calibration(
        threshold=threshold, budget=0.05, delta=0.1, failed=90, released_failed=0, coverage=0.9, risk_bound=0.03
    )


def decided(lines, texts, calibration, rule, place=0):
    judgements = judge(MISSION, lines, rollouts(texts))
    return decide(MISSION, judgements[place], evidence(MISSION, lines), calibration, rule)


@pytest.mark.parametrize(
    ("lines", "texts", "calibration", "rule", "reasons"),
    [
        ([MET], [PASS], calibrated(1.0), CALIBRATED, ()),
        ([MET], [PASS], None, CALIBRATED, (UNCALIBRATED,)),
        ([MET], [PASS], None, RULES, ()),
        ([MET], [PASS], None, ALWAYS, ()),
        ([UNSEEN], [PASS], calibrated(0.1), CALIBRATED, (MISSING,)),
        ([UNSEEN], [PASS], None, CALIBRATED, (MISSING, UNCALIBRATED)),
        ([UNSEEN], [PASS], None, RULES, (MISSING,)),
        ([UNSEEN], [PASS], None, ALWAYS, ()),
        ([], [PASS], calibrated(0.1), CALIBRATED, (UNCLEAR, MISSING)),
        *(([MET], [PASS], calibrated(None), rule, (RISK,)) for rule in ReleaseRule),
        *(([MET], [PASS, PASS, FAIL], calibrated(0.99), rule, (RISK,)) for rule in ReleaseRule),
        ([MET], [PASS, PASS, PASS, FAIL, FAIL, FAIL], calibrated(0.1), CALIBRATED, (DIVIDED,)),
        (["无关图片"], [PASS], calibrated(None), ALWAYS, (UNCLEAR, RISK)),
    ],
)
def test_a_pass_is_released_only_through_every_gate(lines, texts, calibration, rule, reasons):
    decision = decided(lines, texts, calibration, rule)
    assert decision.reasons == reasons
    assert decision.verdict is (None if reasons else Verdict.PASS)
    assert bool(decision.missing) is (MISSING in reasons)


def test_what_is_missing_is_named():
    assert decided([UNSEEN], [PASS], None, CALIBRATED).missing == ("挡风板",)


@pytest.mark.parametrize("rule", ReleaseRule)
@pytest.mark.parametrize("lines", [[MET], [UNSEEN], ["无关图片"], []])
@pytest.mark.parametrize("calibration", [None, calibrated(None), calibrated(1.0)])
def test_a_fail_releases_nothing_so_only_a_divided_vote_holds_it(lines, calibration, rule):
    assert decided(lines, [FAIL], calibration, rule) == VerdictDecision(verdict=Verdict.FAIL, reasons=())
    assert decided(lines, [FAIL, PASS], calibration, rule).reasons == (DIVIDED,)


@pytest.mark.parametrize("label", [None, *Verdict])
def test_no_label_decides(label):
    (chosen,) = judge(MISSION, [MET], rollouts([PASS]), label)
    assert decide(MISSION, chosen, evidence(MISSION, [MET]), None, RULES).verdict is Verdict.PASS
