"""Reading a record is total: any line gives a record or problems, never an exception."""

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.data import parse_record

NAMES = st.sampled_from(
    ["images", "objects", "width", "height", "summary", "mission", "task", "summaries", "guidance", "verdict", "reason",
     "messages", "bbox_2d", "quad", "line", "line_points", "desc", "role", "content", "type", "image", "bytes", "path"]
)  # fmt: skip
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.sampled_from(
        ["a.png", "user", "assistant", "dense", "verdict", "通过", "text", "image_url", "data:image/png;base64,", ""]
    )
    | st.text(max_size=8)
)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(NAMES, inner, max_size=5), max_leaves=25
)


@settings(max_examples=400)
@given(st.dictionaries(NAMES, VALUES, max_size=8))
def test_any_json_object_gives_a_record_or_problems(value: dict[str, object]) -> None:
    record, problems = parse_record(json.dumps(value), "d:1", Path("/data"))
    assert record is not None or problems
    assert all(str(problem).startswith("d:1: ") for problem in problems)


@given(st.binary(max_size=60))
def test_any_bytes_give_a_record_or_problems(line: bytes) -> None:
    record, problems = parse_record(line, "d:1", Path("/data"))
    assert record is not None or problems


def test_bytes_that_are_no_base64_are_a_problem() -> None:
    for text in ("é", "a", "*"):
        record, problems = parse_record(json.dumps({"images": [{"bytes": text}], "objects": []}), "d:1", Path("/"))
        assert record is None
        assert any("bytes in a record are base64" in str(problem) for problem in problems)


def test_deep_nesting_is_a_problem_not_a_crash() -> None:
    assert parse_record("[" * 100_000, "d:1", Path("/"))[1]
