"""A report against its rules: every limit, relative to the active version, and values that are not numbers."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.gates.policy import MetricRule, ReportRule
from registry.gates.thresholds import check_report, value_at

Report = dict[str, object]


def messages(rule: ReportRule, report: Report | None, active: Report | None, *, first: bool = False) -> list[str]:
    return [found.message for found in check_report("evaluation", rule, report, active, first=first)]


def rule(**limits: float) -> ReportRule:
    return ReportRule(metrics={"f1": MetricRule(**limits)})


@pytest.mark.parametrize(
    ("limits", "value", "held", "words"),
    [
        ({"min": 0.5}, 0.5, None, None),
        ({"min": 0.5}, 0.49, None, "at least 0.5 is needed"),
        ({"max": 0.02}, 0.02, None, None),
        ({"max": 0.02}, 0.03, None, "at most 0.02 is allowed"),
        ({"max_drop": 0.01}, 0.64, 0.65, None),
        ({"max_drop": 0.01}, 0.63, 0.65, "0.02 below the active version's 0.65"),
        ({"max_drop": 0.0}, 0.66, 0.65, None),
        ({"max_rise": 0.01}, 0.66, 0.65, None),
        ({"max_rise": 0.01}, 0.67, 0.65, "0.02 above the active version's 0.65"),
        ({"max_rise": 0.0}, 0.1, 0.65, None),
    ],
)
def test_each_limit(limits: dict[str, float], value: float, held: float | None, words: str | None) -> None:
    found = messages(rule(**limits), {"f1": value}, {"f1": held})
    assert len(found) == (words is not None)
    assert all(words in message for message in found if words)


@pytest.mark.parametrize("value", [None, True, "0.9", math.nan, [0.9]])
@pytest.mark.parametrize("limits", [{"min": 0.0}, {"max": 1.0}, {"max_drop": 1.0}, {"max_rise": 1.0}])
def test_what_is_no_number_never_passes(limits: dict[str, float], value: object) -> None:
    assert messages(rule(**limits), {"f1": value}, {"f1": 0.5})


def test_a_missing_report_says_how_to_attach_one() -> None:
    assert "vqc-registry attach VERSION --type evaluation" in messages(ReportRule(), None, None)[0]
    assert (
        "vqc-registry smoke-serve VERSION"
        in check_report("smoke-serve", ReportRule(), None, None, first=True)[0].message
    )


def test_the_first_version_is_compared_with_nothing() -> None:
    assert messages(rule(max_drop=0.0), {"f1": 0.1}, None, first=True) == []
    assert "no such report to compare with" in messages(rule(max_drop=0.0), {"f1": 0.1}, None)[0]
    assert messages(rule(min=0.0), {"f1": 0.1}, None) == []


def test_reports_of_different_data_are_not_compared_silently() -> None:
    same = ReportRule(same=("num_images",))
    assert messages(same, {"num_images": 100}, {"num_images": 100}) == []
    assert (
        "num_images is 100, but 50 in the active version's report"
        in messages(same, {"num_images": 100}, {"num_images": 50})[0]
    )


def test_all_that_is_wrong_is_said_at_once() -> None:
    metrics = {"f1": MetricRule(min=0.5, max_drop=0.01), "malformed": MetricRule(max=0.0)}
    found = messages(ReportRule(metrics=metrics), {"f1": 0.1, "malformed": 1}, {"f1": 0.6})
    assert len(found) == 3


@given(value=st.floats(0, 1), held=st.floats(0, 1), drop=st.floats(0, 1))
def test_a_drop_is_allowed_exactly_up_to_the_limit(value: float, held: float, drop: float) -> None:
    refused = bool(messages(rule(max_drop=drop), {"f1": value}, {"f1": held}))
    if abs((held - value) - drop) > 1e-9:
        assert refused is (held - value > drop)


@pytest.mark.parametrize(
    ("name", "found"),
    [("a.b", 1), ("x.y", 2), ("x.z", None), ("list.-1.n", 4), ("list.0.n", 3), ("list.2.n", None), ("list.--1", None)],
)
def test_dots_lead_inside(name: str, found: object) -> None:
    report = {"a.b": 1, "x": {"y": 2}, "list": [{"n": 3}, {"n": 4}]}
    assert value_at(report, name) == found
