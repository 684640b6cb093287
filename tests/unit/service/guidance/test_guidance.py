from dataclasses import FrozenInstanceError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.guidance.guidance import Add, Guidance, Merge, Remove, Rule, Update, apply_operations, diff, first_version
from vqc.errors import InvalidValue
from vqc.missions import mission_named

MISSION = mission_named("挡风板安装检查")
FIRST = first_version(MISSION, ["甲", "乙", "丙"])
SEEN = ("QC-0001",)


def test_a_version_names_its_parent_and_leaves_it_as_it_was():
    before = FIRST.digest
    second = apply_operations(FIRST, [Update(id="G1", text="新乙", evidence=SEEN)])
    assert (second.step, second.parent, FIRST.digest) == (1, before, before)
    assert second.rules[1] == Rule(id="G1", text="新乙", evidence=SEEN)
    with pytest.raises(FrozenInstanceError):
        second.step = 7  # type: ignore[misc]


def test_equal_versions_have_equal_digests_and_others_do_not():
    assert first_version(MISSION, ["甲", "乙", "丙"]).digest == FIRST.digest
    assert first_version(MISSION, ["甲", "丙", "乙"]).digest != FIRST.digest
    assert len(FIRST.digest) == 64


def test_a_removed_id_is_never_given_again():
    second = apply_operations(FIRST, [Remove(id="G2", evidence=SEEN), Add(text="丁", evidence=SEEN)])
    assert second.prompt_rules == {"G0": "甲", "G1": "乙", "G3": "丁"}
    assert [(change.id, change.before, change.after) for change in diff(FIRST, second)] == [
        ("G2", "丙", None),
        ("G3", None, "丁"),
    ]


def test_a_merge_gathers_the_evidence():
    second = apply_operations(FIRST, [Update(id="G2", text="丙二", evidence=("QC-0002",))])
    third = apply_operations(second, [Merge(ids=("G0", "G2"), text="甲丙", evidence=("QC-0003", "QC-0002"))])
    assert third.rules[0] == Rule(id="G0", text="甲丙", evidence=("QC-0002", "QC-0003"))
    assert list(third.prompt_rules) == ["G0", "G1"]


@pytest.mark.parametrize(
    "operation",
    [
        Update(id="G9", text="x", evidence=SEEN),
        Remove(id="G9", evidence=SEEN),
        Merge(ids=("G0",), text="x", evidence=SEEN),
        Merge(ids=("G0", "G0"), text="x", evidence=SEEN),
        Merge(ids=("G0", "G9"), text="x", evidence=SEEN),
        Add(text="x", evidence=()),
        Add(text="x", evidence=("a", "a")),
        Add(text="两\n行", evidence=SEEN),
        Add(text="", evidence=SEEN),
        Add(text="长" * 201, evidence=SEEN),
        Add(text="甲", evidence=SEEN),
        Update(id="G0", text="甲", evidence=SEEN),
    ],
)
def test_an_operation_that_cannot_be_applied_is_refused(operation):
    with pytest.raises(InvalidValue):
        apply_operations(FIRST, [operation])


def test_the_focus_stays_when_the_last_rule_goes():
    emptied = apply_operations(first_version(MISSION, ["甲"]), [Remove(id="G0", evidence=SEEN)])
    assert (emptied.rules, emptied.focus, emptied.step) == ((), MISSION.focus, 1)
    assert first_version(MISSION).rules == ()


@pytest.mark.parametrize("wrong", [{"issued": 1}, {"step": 1}, {"parent": "x"}, {"focus": ""}])
def test_a_version_that_contradicts_itself_is_refused(wrong):
    rules = (Rule(id="G0", text="甲"), Rule(id="G1", text="乙"))
    with pytest.raises(InvalidValue, match="guidance"):
        Guidance(**{"mission": "m", "focus": "f", "rules": rules, "issued": 2} | wrong)


def test_a_rule_id_is_g_and_a_number():
    with pytest.raises(InvalidValue, match=r"rule\.id"):
        Rule(id="X1", text="甲")


@given(st.lists(st.text("甲乙丙丁戊", min_size=1, max_size=6), max_size=6, unique=True))
def test_a_diff_tells_exactly_what_changed(texts):
    version = FIRST
    for text in texts:
        if text not in version.prompt_rules.values():
            version = apply_operations(version, [Add(text=text, evidence=SEEN)])
    rebuilt = dict(FIRST.prompt_rules)
    for change in diff(FIRST, version):
        if change.after is not None:
            rebuilt[change.id] = change.after
    assert rebuilt == version.prompt_rules
