import pytest

from service.judging.calibration import Calibration
from service.judging.decision import ReviewReason, VerdictDecision, decide
from service.judging.judge import judge
from tests.support.parsed_rollouts import rollouts
from vqc.missions import mission_named
from vqc.verdict import Verdict

MISSION = mission_named("挡风板安装检查")
MET = "BBU设备/华为,显示完整,无需安装×1"
FAIL, PASS = "不通过\n理由: 挡风板缺失", "通过\n理由: BBU设备无需安装挡风板"


def calibrated(threshold):
    return Calibration(
        threshold=threshold, budget=0.05, delta=0.1, failed=90, released_failed=0, coverage=0.9, risk_bound=0.03
    )


@pytest.mark.parametrize(
    ("lines", "texts", "calibration", "verdict", "reasons"),
    [
        ([MET], [PASS], None, Verdict.PASS, ()),
        ([MET], [PASS], calibrated(1.0), Verdict.PASS, ()),
        ([MET], [PASS], calibrated(None), None, (ReviewReason.BELOW_THRESHOLD,)),
        ([MET], [FAIL], calibrated(None), Verdict.FAIL, ()),
        (["无关图片"], [FAIL], calibrated(None), Verdict.FAIL, ()),
        ([MET], [PASS, PASS, FAIL], calibrated(0.99), None, (ReviewReason.BELOW_THRESHOLD,)),
        ([MET], [FAIL, PASS], None, None, (ReviewReason.DIVIDED_VOTE,)),
        (
            ["无关图片"],
            [PASS],
            calibrated(None),
            None,
            (ReviewReason.SUMMARIES_UNCLEAR, ReviewReason.BELOW_THRESHOLD),
        ),
    ],
)
def test_a_verdict_is_released_or_needs_review(lines, texts, calibration, verdict, reasons):
    judgements = judge(MISSION, lines, rollouts(texts))
    chosen = judgements[texts.index(FAIL) if texts == [FAIL, PASS] else 0]
    assert decide(MISSION, chosen, calibration) == VerdictDecision(verdict=verdict, reasons=reasons)


@pytest.mark.parametrize("label", [None, *Verdict])
def test_no_label_decides(label):
    (chosen,) = judge(MISSION, [MET], rollouts([PASS]), label)
    assert decide(MISSION, chosen, None).verdict is Verdict.PASS
