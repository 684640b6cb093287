import pytest

from scenes.rules import RULES
from scenes.vocabulary import Brand, Fault, Fixing, Need, bbu, descs, fixing, shield
from service.judging.evidence import Polarity, SummaryConfidence, evidence
from service.judging.judge import rationale_quality
from tests.support.inspections import inspections
from vqc.missions import mission_named
from vqc.verdict import Verdict

SHIELD, SCREW = mission_named("挡风板安装检查"), mission_named("BBU安装方式检查（正装）")
RACK = bbu(Brand.HUAWEI, True, Need.NONE)


def line(*descs):
    return "，".join(f"{desc}×1" for desc in descs)


@pytest.mark.parametrize(
    ("mission", "lines", "polarities", "confidence", "verdict"),
    [
        (SHIELD, [line(RACK)], ["met", "met"], "high", Verdict.PASS),
        (SHIELD, [line(bbu(Brand.ZTE, True, Need.MET))], ["met", "met"], "high", Verdict.PASS),
        (SHIELD, [line(bbu(Brand.ZTE, True, Need.MISSING))], ["met", "violated"], "high", Verdict.FAIL),
        (SHIELD, [line(RACK, shield(Brand.ZTE, True, False))], ["met", "both"], "needs_review", None),
        (SHIELD, [line(bbu(Brand.ZTE, False, Need.NONE))], ["partly_visible", "met"], "low", None),
        (SHIELD, [line(shield(Brand.ZTE, False, True))], ["missing", "partly_visible"], "low", None),
        (SHIELD, [f"{line(RACK)}，备注: 挡风板破损"], ["met", "both"], "needs_review", None),
        (SHIELD, [f"{line(RACK)}，备注: 左侧遮挡"], ["met", "met"], "high", Verdict.PASS),
        (SHIELD, ["无关图片", ""], ["missing", "missing"], "needs_review", None),
        (SHIELD, [], ["missing", "missing"], "needs_review", None),
        (SCREW, [line(RACK), line(fixing(Fixing.BBU_SCREW, Fault.RUST))], ["met", "violated"], "high", Verdict.FAIL),
        (SCREW, [line(RACK)], ["met", "missing"], "low", None),
        (SCREW, [line(RACK, "螺丝、光纤插头/BBU安装螺丝,显示完整")], ["met", "partly_visible"], "low", None),
    ],
)
def test_what_the_summaries_show(mission, lines, polarities, confidence, verdict):
    found = evidence(mission, lines)
    assert [item.polarity for item in found.items] == [Polarity(one) for one in polarities]
    assert found.confidence is SummaryConfidence(confidence)
    assert found.verdict is verdict


def test_an_item_that_is_not_required_lowers_nothing_by_being_unseen():
    found = evidence(mission_named("RRU位置检查"), ["RRU设备/华为,显示完整,位置符合要求×1"])
    assert [item.polarity for item in found.items] == [Polarity.MET, Polarity.MISSING]
    assert (found.confidence, found.verdict) == (SummaryConfidence.HIGH, Verdict.PASS)


@pytest.mark.parametrize("name", RULES)
def test_what_breaks_a_drawn_ticket_violates_a_key_item(name):
    for desc in descs():
        broken = any(breaks(desc) for breaks in RULES[name].violations.values())
        assert (evidence(mission_named(name), [line(desc)]).verdict is Verdict.FAIL) is broken, desc


def test_english_lines_are_judged_by_english_words():
    with inspections("telecom", "meters"):
        sealing = mission_named("Sealing")
        for lines, verdict, confidence in (
            (["cover/closed×1; seal/present,intact×1"], Verdict.PASS, "high"),
            (["cover/Closed×1", "seal/not intact×1"], Verdict.FAIL, "high"),
            (["cover/closed×1; Note: the seal is missing"], Verdict.FAIL, "high"),
            (["cover/closed×1; seal/blurred×1"], None, "low"),
            (["irrelevant photo"], None, "needs_review"),
            (["cover/closed×1; unsealed bag×1"], None, "low"),
        ):
            found = evidence(sealing, lines)
            assert (found.verdict, str(found.confidence)) == (verdict, confidence), lines


def test_an_english_reason_cites_items_and_may_hedge():
    with inspections("meters"):
        sealing = mission_named("Sealing")
        assert rationale_quality(sealing, "The lid is closed and the seal is intact") == 1.0
        assert rationale_quality(sealing, "The seal may be broken") == 0.7
        assert rationale_quality(sealing, "All is well") == 0.7
