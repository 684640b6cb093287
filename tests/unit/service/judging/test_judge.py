from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.judging.evidence import SummaryConfidence
from service.judging.judge import evidence as evidence_of
from service.judging.judge import focus_consistency, judge, rationale_quality
from service.judging.selection import Candidate, Selection, select
from tests.support.parsed_rollouts import rollouts
from vqc.missions import mission_named
from vqc.verdict import Verdict, VerdictAnswer

MISSION = mission_named("挡风板安装检查")
MET = "BBU设备/华为,显示完整,无需安装×1"
WRONG = "BBU设备/华为,显示完整×1，挡风板/华为,显示完整,安装方向错误×1"
FAIL, PASS = "不通过\n理由: 挡风板缺失", "通过\n理由: BBU设备无需安装挡风板"


def test_the_reference_record_is_reproduced():
    """31 of 50 rollouts agree (0.62); the summaries show nothing relevant; the label says 通过."""
    found = judge(MISSION, ["无关图片"], rollouts([FAIL] * 31 + [PASS] * 19), label=Verdict.PASS)[3]
    assert (found.merit.focus_consistency, found.merit.heuristic_score, found.merit.rationale_quality) == (
        1.0,
        0.6,
        1.0,
    )
    assert (found.merit.vote_share, found.merit.semantic_advantage) == (0.62, 0.822)
    assert found.summary_confidence is SummaryConfidence.NEEDS_REVIEW
    assert (found.label_match, found.label_contradiction, found.needs_recheck) == (False, True, True)
    assert found.candidate.candidate_index == 3


@pytest.mark.parametrize(
    ("lines", "verdict", "reason", "expected"),
    [
        ([MET], Verdict.PASS, "BBU设备无需安装挡风板", 1.0),
        ([MET], Verdict.PASS, "挡风板安装方向正确", 0.5),
        ([MET], Verdict.PASS, "符合要求", 0.0),
        ([MET], Verdict.FAIL, "图1中挡风板破损", 1.0),
        ([WRONG], Verdict.FAIL, "见挡风板", 1.0),
        ([MET], Verdict.FAIL, "见挡风板", 0.5),
        ([MET], Verdict.FAIL, "光线差", 0.0),
    ],
)
def test_focus_consistency(lines, verdict, reason, expected):
    shown = evidence_of(MISSION, lines)
    assert focus_consistency(MISSION, shown, VerdictAnswer(verdict=verdict, reason=reason)) == expected


@pytest.mark.parametrize(
    ("reason", "expected"),
    [("挡风板缺失", 1.0), ("缺失", 0.7), ("可能缺失", 0.4), ("可能缺失" * 60, 0.1), ("", 0.4), ("挡风板" * 70, 0.7)],
)
def test_rationale_quality(reason, expected):
    assert rationale_quality(MISSION, reason) == expected


@pytest.mark.parametrize(
    ("lines", "label", "match", "contradiction", "recheck"),
    [
        ([MET], None, None, False, False),
        ([MET], Verdict.PASS, True, False, False),
        ([MET], Verdict.FAIL, False, True, True),
        ([WRONG], Verdict.FAIL, False, False, False),
        (["无关图片"], None, None, False, True),
    ],
)
def test_a_label_is_compared_only_where_named(lines, label, match, contradiction, recheck):
    (found,) = judge(MISSION, lines, rollouts([PASS]), label=label)
    assert (found.label_match, found.label_contradiction, found.needs_recheck) == (match, contradiction, recheck)


def test_a_divided_vote_is_checked_again():
    assert all(found.needs_recheck for found in judge(MISSION, [MET], rollouts([PASS, FAIL])))


def test_rollouts_that_do_not_parse_have_no_vote_and_no_judgement():
    found = judge(MISSION, [MET], rollouts(["建议复核", PASS, ""]))
    assert [(one.rollout.candidate_index, one.merit.vote_share) for one in found] == [(1, 1.0)]
    assert select([one.candidate for one in judge(MISSION, [MET], rollouts(["建议复核", ""]))]).needs_review


TEXTS = st.lists(
    st.sampled_from(
        [PASS, FAIL, "通过\n理由: 可能符合要求", "不通过\n理由: BBU设备倒装", "复核", "通过\n理由: 挡风板"]
    ),
    max_size=8,
)
LINES = st.lists(st.sampled_from([MET, WRONG, "无关图片", ""]), max_size=3)


@given(TEXTS, LINES, st.none() | st.sampled_from(Verdict), st.none() | st.sampled_from(Verdict))
def test_selection_is_the_same_under_any_label(texts, lines, label, other):
    drawn = rollouts(texts)
    selections = [
        select([found.candidate for found in judge(MISSION, lines, drawn, label=one)]) for one in (label, other)
    ]
    assert selections[0] == selections[1]


def test_selection_has_no_place_for_a_label():
    assert {field.name for field in fields(Candidate)} == {
        "candidate_index",
        "verdict",
        "temperature",
        "semantic_advantage",
    }


CANDIDATES = st.lists(
    st.tuples(st.sampled_from(Verdict), st.sampled_from([0.2, 0.6]), st.sampled_from([0.5, 0.9])),
    min_size=1,
    max_size=9,
).map(
    lambda drawn: [
        Candidate(candidate_index=i, verdict=v, temperature=t, semantic_advantage=s)
        for i, (v, t, s) in enumerate(drawn)
    ]
)


@given(CANDIDATES, st.randoms())
def test_selection_follows_its_order_however_candidates_arrive(candidates, random):
    chosen = select(candidates)
    shuffled = list(candidates)
    random.shuffle(shuffled)
    assert select(shuffled) == chosen
    passes = sum(one.verdict is Verdict.PASS for one in candidates)
    assert chosen.verdict is (Verdict.PASS if 2 * passes > len(candidates) else Verdict.FAIL)
    winner = candidates[chosen.candidate_index or 0]
    for one in candidates:
        if one.verdict is chosen.verdict and one is not winner:
            assert (-winner.semantic_advantage, winner.temperature, winner.candidate_index) < (
                -one.semantic_advantage,
                one.temperature,
                one.candidate_index,
            )


def test_nothing_to_select_needs_review():
    assert select([]) == Selection(verdict=None, candidate_index=None, vote_share=0.0)
