import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.guidance.guidance import Add, Merge, Remove, Update, first_version
from service.judging.judge import judge
from service.learning.reflection import ReflectionCase, operation_record, parse_reflection, reflection_prompt
from tests.support.parsed_rollouts import rollouts
from vqc.missions import mission_named
from vqc.verdict import Verdict

MISSION = mission_named("挡风板安装检查")
TEXTS = ["通过\n理由: 挡风板安装方向正确", "通过\n理由: 挡风板安装方向正确", "不通过\n理由: 挡风板缺失"]


def case(group_id="QC-1", texts=TEXTS, label=Verdict.FAIL, verdict=Verdict.PASS) -> ReflectionCase:
    judgements = judge(MISSION, ["无关图片"], rollouts(texts), label)
    return ReflectionCase(
        group_id=group_id, summaries=("无关图片",), label=label, verdict=verdict, judgements=judgements
    )


def test_the_prompt_shows_rules_cases_votes_and_each_reason_once():
    text = reflection_prompt(MISSION, first_version(MISSION, ["旧规则"]), [case(), case("QC-2")]).after
    assert "[G0] 旧规则" in text
    assert "【T2】人工结论：不通过；模型：通过2票，不通过1票" in text
    assert text.count("通过的理由：挡风板安装方向正确") == 2
    assert "QC-1" not in text


@pytest.mark.parametrize(
    ("texts", "verdict", "instructive"),
    [
        (TEXTS, Verdict.PASS, True),
        (TEXTS[2:], Verdict.FAIL, False),
        (TEXTS[:2], Verdict.PASS, True),
        (TEXTS, Verdict.FAIL, True),
    ],
)
def test_only_wrong_or_divided_tickets_teach(texts, verdict, instructive):
    assert case(texts=texts, verdict=verdict).is_instructive is instructive


def test_every_operation_is_read_from_a_fenced_answer():
    given = [
        {"op": "add", "text": "甲", "evidence": ["T1", "T9", "T1"]},
        {"op": "update", "id": "G0", "text": "乙", "evidence": ["T2"]},
        {"op": "merge", "ids": ["G0", "G1"], "text": "丙", "evidence": ["T1", "T2"]},
        {"op": "remove", "id": "G1", "evidence": ["T1"]},
    ]
    answer = f"分析{{如下}}\n```json\n{json.dumps({'operations': given})}\n```"
    found = parse_reflection(answer, [case(), case("QC-2")], most=4)
    assert found.operations == (
        Add(text="甲", evidence=("QC-1",)),
        Update(id="G0", text="乙", evidence=("QC-2",)),
        Merge(ids=("G0", "G1"), text="丙", evidence=("QC-1", "QC-2")),
        Remove(id="G1", evidence=("QC-1",)),
    )
    assert [operation_record(one)["op"] for one in found.operations] == ["add", "update", "merge", "remove"]


@pytest.mark.parametrize(
    "entry",
    [
        {"op": "add", "text": "甲", "evidence": []},
        {"op": "add", "text": "甲", "evidence": ["QC-1"]},
        {"op": "add", "text": 3, "evidence": ["T1"]},
        {"op": "merge", "ids": ["G0", 1], "text": "甲", "evidence": ["T1"]},
        {"op": "merge", "ids": "G0", "text": "甲", "evidence": ["T1"]},
        "add",
        None,
    ],
)
def test_what_is_no_operation_is_noted(entry):
    found = parse_reflection(json.dumps({"operations": [entry]}), [case()], most=3)
    assert found.operations == ()
    assert found.notes[0].startswith("not an operation")


def test_no_more_operations_than_allowed():
    add = [{"op": "add", "text": text, "evidence": ["T1"]} for text in "甲乙丙"]
    found = parse_reflection(json.dumps({"operations": add}), [case()], most=2)
    assert [one.text for one in found.operations if isinstance(one, Add)] == ["甲", "乙"]
    assert "more than 2" in found.notes[0]


@given(st.text() | st.text('{}[]"operations:,T1G0 ', max_size=60))
def test_any_text_gives_a_proposal(text):
    found = parse_reflection(text, [case()], most=3)
    assert len(found.operations) <= 3
