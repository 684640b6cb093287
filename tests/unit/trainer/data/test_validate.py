"""Every broken record is named by file, line and rule before training starts."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from PIL import Image

from tests.support.training_records import PHOTO, TICKET, WriteRecords
from trainer.data import DataError, RecordRule, Severity, validate


def photo(**changes: object) -> dict[str, object]:
    return {**PHOTO, **changes}


def one(**geometry: object) -> dict[str, object]:
    return photo(objects=[{"desc": "螺丝", **geometry}])


BROKEN = [
    ('{"images": ["a.png"', RecordRule.JSON, "not JSON"),
    ("[1, 2]", RecordRule.JSON, "a record is a JSON object"),
    ('{"width": NaN}', RecordRule.JSON, "NaN"),
    (photo(images=["gone.png"]), RecordRule.IMAGE_MISSING, "gone.png"),
    (photo(images=["data.jsonl"]), RecordRule.IMAGE_UNREADABLE, "JPEG, PNG, WebP"),
    (photo(images=["https://x/a.jpg"]), RecordRule.IMAGES, "download"),
    (photo(images=["a.png", "b.png"]), RecordRule.IMAGES, "exactly one image, not 2"),
    (photo(images=[]), RecordRule.IMAGES, "not 0"),
    (photo(width=96, height=128), RecordRule.SIZE, "the sides are swapped"),
    (photo(width=None), RecordRule.SIZE, "None"),
    (one(bbox_2d=[1, 2, 3, 4], quad=[1, 2, 3, 4, 5, 6, 7, 8]), RecordRule.GEOMETRY, "bbox_2d and quad"),
    (one(), RecordRule.GEOMETRY, "none"),
    (one(bbox_2d=[1, 2, 300, 4]), RecordRule.BOUNDS, "(300, 4) is outside 128 × 96 px"),
    (one(bbox_2d=[-1, 2, 30, 40]), RecordRule.BOUNDS, "outside"),
    (one(line=[1, 2, 3, 4, 5]), RecordRule.COORDINATES, "an even number"),
    (one(line=[1, 2]), RecordRule.COORDINATES, "4 to 64"),
    (one(line=[1, 2, 3, 4], line_points=3), RecordRule.LINE_POINTS, "line_points is 3, the line has 2 points"),
    (one(bbox_2d=[30, 2, 10, 40]), RecordRule.COORDINATES, "x1 <= x2"),
    (one(bbox_2d=["1", 2, 3, 4]), RecordRule.COORDINATES, "not a list of numbers"),
    (one(quad=[1, 2, 3, 4]), RecordRule.COORDINATES, "8 coordinates"),
    (photo(objects=[{"bbox_2d": [1, 2, 3, 4]}]), RecordRule.DESC, "desc"),
    (photo(objects=[{"bbox_2d": [1, 2, 3, 4], "desc": "BBU设备/华为, 显示完整"}]), RecordRule.DESC, "single spaces"),
    (photo(objects={}), RecordRule.OBJECTS, "a list"),
    (photo(objects=[{"bbox_2d": [1, 2, 3, 4], "desc": "螺丝"}] * 65), RecordRule.OBJECTS, "at most 64"),
    (photo(objects=None, summary=None), RecordRule.OBJECTS, "nothing to learn"),
    (photo(summary="×"), RecordRule.SUMMARY, "描述×数量"),
    (photo(summary=3), RecordRule.SUMMARY, "not text"),
    (photo(mission="挡风板"), RecordRule.MISSION, "挡风板安装检查"),
    (photo(task="dance"), RecordRule.TASK, "valid: dense, stage_a"),
    (photo(sumary="x"), RecordRule.FIELD, "did you mean 'summary'?"),
    ({**TICKET, "verdict": "复核"}, RecordRule.VERDICT, "'复核' is not valid"),
    ({**TICKET, "reason": ""}, RecordRule.VERDICT, "reason"),
    ({**TICKET, "images": [], "summaries": []}, RecordRule.VERDICT, "images, summaries or both"),
    ({**TICKET, "mission": None}, RecordRule.MISSION, "needs a mission"),
    ({**TICKET, "summaries": [""]}, RecordRule.SUMMARY, "non-empty"),
    ({"messages": [{"role": "user", "content": "x"}]}, RecordRule.MESSAGES, "one turn"),
    (
        {"messages": [
            {"role": "user", "content": [{"type": "image", "url": "a.png"}]},
            {"role": "assistant", "content": "x"},
        ]},
        RecordRule.MESSAGES,
        "under the key 'image', not 'url'",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("record", "rule", "says"), BROKEN, ids=lambda value: str(value)[:28] if value else "")
def test_a_broken_record_is_named_by_file_line_and_rule(
    records: WriteRecords, record: dict[str, object] | str, rule: RecordRule, says: str
) -> None:
    path = records(PHOTO, record, TICKET)
    report = validate(path)
    found = [problem for problem in report.errors if problem.rule is rule]
    assert found, report.errors
    assert str(found[0]).startswith(f"{path}:2: {rule}: ")
    assert says in found[0].message
    assert report.records == 3
    assert report.usable == 2
    with pytest.raises(DataError, match=f"{path.name}:2: {rule}"):
        report.raise_if_broken()


def test_an_empty_summary_matters_in_summary_mode_only(records: WriteRecords) -> None:
    path = records(photo(summary=""))
    assert validate(path).errors == ()
    (problem,) = validate(path, summary_share=0.5).errors
    assert problem.rule is RecordRule.SUMMARY
    assert "empty" in problem.message


def test_all_problems_of_all_records_are_collected(records: WriteRecords) -> None:
    two = photo(objects=[{"desc": "a  b", "bbox_2d": [1, 1, 2]}, {"desc": "螺丝", "quad": [1]}])
    report = validate(records("{", two, photo(images=["x.png"])))
    assert [problem.source.rpartition(":")[2] for problem in report.errors] == ["1", "2", "2", "2", "3"]


def test_a_truncated_image_is_found_by_decoding(records: WriteRecords, tmp_path: Path) -> None:
    path = records(photo(images=["c.jpg"]))
    Image.effect_noise((128, 96), 60).convert("RGB").save(tmp_path / "c.jpg")
    data = (tmp_path / "c.jpg").read_bytes()
    (tmp_path / "c.jpg").write_bytes(data[: len(data) // 2])
    assert validate(path).errors == ()
    (problem,) = validate(path, decode=True).errors
    assert problem.rule is RecordRule.IMAGE_UNREADABLE


def test_a_photo_that_lies_on_its_side_is_measured_as_it_is_seen(records: WriteRecords, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (96, 128)).save(tmp_path / "turned.jpg", exif=exif)
    assert validate(records(photo(images=["turned.jpg"])), decode=True).errors == ()


def test_warnings_do_not_stop_training(records: WriteRecords) -> None:
    flat = photo(objects=[{"desc": "螺丝", "bbox_2d": [5, 5, 5, 9]}], summary="螺丝 x1")
    report = validate(records(flat))
    assert [problem.rule for problem in report.warnings] == [RecordRule.DEGENERATE, RecordRule.SUMMARY]
    assert all(problem.severity is Severity.WARNING for problem in report.warnings)
    report.raise_if_broken()


def test_the_report_counts_what_there_is(records: WriteRecords) -> None:
    report = validate(records(PHOTO, photo(summary=None), "", TICKET, photo(objects=[])))
    assert report.as_dict() | {"path": ""} == {
        "path": "",
        "records": 4,
        "usable": 4,
        "tasks": {"dense": 3, "stage_a": 2, "verdict": 1},
        "geometries": {"bbox_2d": 2, "quad": 2, "line": 2},
        "categories": {"BBU设备": 2, "标签": 2, "光纤": 2},
        "errors": [],
        "warnings": [],
    }
    assert json.dumps(report.as_dict())


def test_edges_of_the_photo_and_nested_pairs_are_valid(records: WriteRecords) -> None:
    edges = photo(
        objects=[
            {"desc": "螺丝", "bbox_2d": [0, 0, 128, 96]},
            {"desc": "光纤", "line": [[1, 2], [3, 4]]},
        ]
    )
    assert validate(records(edges)).errors == ()


def test_bytes_and_data_urls_are_images_too(records: WriteRecords, tmp_path: Path) -> None:
    path = records()
    encoded = base64.b64encode((tmp_path / "a.png").read_bytes()).decode()
    inline = [{"bytes": encoded}], [f"data:image/png;base64,{encoded}"], [{"path": "a.png", "bytes": None}]
    assert validate(records(*(photo(images=images) for images in inline))).errors == ()
    (problem,) = validate(records(photo(images=[{"bytes": "?"}]))).errors
    assert problem.rule is RecordRule.IMAGES
    assert path.exists()


def test_a_missing_or_empty_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone.jsonl: json: cannot be read"):
        validate(tmp_path / "gone.jsonl")
    (tmp_path / "empty.jsonl").write_text("\n\n")
    with pytest.raises(DataError, match="has no record"):
        validate(tmp_path / "empty.jsonl")


def test_the_root_of_relative_paths(records: WriteRecords, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = records(PHOTO)
    monkeypatch.setenv("ROOT_IMAGE_DIR", str(tmp_path / "elsewhere"))
    assert validate(path).errors[0].rule is RecordRule.IMAGE_MISSING
    assert validate(path, root=tmp_path).errors == ()
