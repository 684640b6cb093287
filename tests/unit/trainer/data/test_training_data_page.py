"""docs/training-data.md says what the parser and ``validate`` do: its examples, keys, rules and limits are checked."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from PIL import Image

from trainer.data import RecordRule, Severity, validate
from trainer.data.parse import _KNOWN, _OBJECT_KEYS
from trainer.data.records import Task
from vqc.caption import MAX_DESC_LENGTH, MAX_OBJECTS
from vqc.geometry import MAX_LINE_POINTS
from vqc.image import PhotoLimits
from vqc.summary import ITEM_LENGTH, MAX_ITEMS, NOTE_LENGTH
from vqc.verdict import REASON_LENGTH

PAGE = (Path(__file__).parents[4] / "docs/training-data.md").read_text("utf-8")
EXAMPLES = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", PAGE, re.S)]
TASKS = [{"dense", "stage_a"}, {"verdict"}, {"chat"}, {"chat"}]
"""The tasks of each example, in the page's order."""


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for name in ("photo.png", "photo_2.png"):
        Image.new("RGB", (640, 480), (90, 120, 60)).save(tmp_path / name)
    return tmp_path


@pytest.mark.parametrize(
    ("example", "tasks"), list(zip(EXAMPLES, TASKS, strict=True)), ids=["photo", "ticket", "a", "b"]
)
def test_every_example_is_a_record_without_problems(photos: Path, example: dict[str, object], tasks: set[str]) -> None:
    path = photos / "data.jsonl"
    path.write_text(json.dumps(example, ensure_ascii=False) + "\n", "utf-8")
    report = validate(path, decode=True)
    assert report.problems == ()
    assert set(report.tasks) == tasks


def table(heading: str) -> dict[str, list[str]]:
    """The first table under a heading: the names of its first column, and the other columns of each."""
    rows = re.search(rf"(?s){re.escape(heading)}.*?\n(\|.*?)\n\n", PAGE + "\n\n")
    assert rows is not None, heading
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[1].splitlines()[2:]]
    return {name: rest for first, *rest in cells for name in re.findall(r"`([^`]+)`", first)}


def test_the_tables_name_every_key_of_the_parser_and_no_other() -> None:
    records = table("## Photo records") | table("## Ticket records") | table("## Chat records")
    assert records.keys() <= set(_KNOWN)
    assert all(f"`{key}`" in PAGE for key in _KNOWN)
    assert table("An object has").keys() == set(_OBJECT_KEYS)
    assert all(f"`{task}`" in PAGE for task in Task)


def test_every_rule_is_explained_with_its_severity() -> None:
    rules = table("## What validation rejects")
    assert rules.keys() == set(RecordRule)
    warnings = {rule for rule, (severity, _) in rules.items() if severity == Severity.WARNING}
    assert warnings == {RecordRule.DEGENERATE}
    assert {rule for rule, (severity, _) in rules.items() if severity == "error or warning"} == {RecordRule.SUMMARY}
    assert {severity for severity, _ in rules.values()} == {"error", "warning", "error or warning"}


@pytest.mark.parametrize(
    "sentence",
    [
        f"list, at most {MAX_OBJECTS}",
        f"Polyline with 2 to {MAX_LINE_POINTS} points",
        f"text, 1 to {MAX_DESC_LENGTH} characters",
        f"up to {MAX_ITEMS} items",
        f"each with 1 to {ITEM_LENGTH} characters",
        f"(1 to {NOTE_LENGTH} characters)",
        f"text, 1 to {REASON_LENGTH} characters",
        f"at most {PhotoLimits().max_bytes // 2**20} MiB",
        f"at most {PhotoLimits().max_pixels:,} pixels",
    ],
)
def test_every_limit_is_the_codes(sentence: str) -> None:
    assert sentence in PAGE.replace("\n", " ")
