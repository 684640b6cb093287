"""Reports as referrers: what can be one, and which one counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from registry import Registry
from registry.gates.reports import attach_report, newest_report, read_report, report_of, report_type
from tests.support.promotion import Push
from vqc.errors import InvalidValue


def test_the_newest_of_a_kind_counts_and_the_others_stay(registry: Registry, push: Push) -> None:
    version = push(1)
    assert newest_report(registry, version, "evaluation") is None
    for number in (3, 1, 2):
        attach_report(registry, version, "evaluation", {"n": number})
    attach_report(registry, version, "other", {"n": 9})
    assert report_of(newest_report(registry, version, "evaluation")) == {"n": 2}
    assert len(registry.referrers(version, report_type("evaluation"))) == 3


@pytest.mark.parametrize("text", ["[1]", "{", '{"f1": NaN}', '{"f1": Infinity}', "[" * 100_000])
def test_what_is_no_report_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "report.json"
    file.write_text(text)
    with pytest.raises(InvalidValue, match=r"report\.json"):
        read_report(file)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match=r"nowhere\.json"):
        read_report(tmp_path / "nowhere.json")


@pytest.mark.parametrize("name", ["", "Evaluation", "a b", "a--b", "-a", "a/b", "x" * 65])
def test_a_kind_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(InvalidValue, match="lower-case letters"):
        report_type(name)
