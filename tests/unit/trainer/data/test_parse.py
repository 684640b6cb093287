"""Reading a record is total: any line gives a record or problems, never an exception."""

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.inspections import inspections
from trainer.data import PhotoRecord, Record, VerdictRecord, parse_record
from vqc.verdict import Verdict

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


def test_records_are_in_the_words_of_their_missions_inspection() -> None:
    def read(**record: object) -> Record:
        found, problems = parse_record(json.dumps({"images": ["a.png"], **record}), "d:1", Path("/data"))
        assert found is not None, problems
        return found

    with inspections("telecom", "meters"):
        line = read(mission="Sealing", summary="cover/closed x1, seal/present and intact x2")
        assert isinstance(line, PhotoRecord)
        assert line.summary == "cover/closed×1; seal/present and intact×2"
        for verdict in ("FAIL", "fail", "不通过"):
            ticket = read(mission="Sealing", verdict=verdict, reason="the seal is broken")
            assert isinstance(ticket, VerdictRecord)
            assert ticket.answer.verdict is Verdict.FAIL
        other = read(mission="挡风板安装检查", summary="BBU设备 x1, 光纤 x2")
        assert isinstance(other, PhotoRecord)
        assert other.summary == "BBU设备×1，光纤×2"
