"""The data page, the contact sheet and drawn data."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from tests.support.training_records import PHOTO, TICKET, WriteRecords
from trainer.augmentation import Pipeline
from trainer.config import SceneSet, ScenesSection
from trainer.config.augmentation import HFlipOp
from trainer.data import SampleDataset, draw_data, validate
from trainer.data.report import write_contact_sheet, write_report


def test_the_page_shows_counts_problems_and_photos(records: WriteRecords, tmp_path: Path) -> None:
    path = records(PHOTO, "{", TICKET, {**PHOTO, "images": ["<gone>.png"]})
    page, picture = write_report(validate(path), SampleDataset(path, shuffle=False), tmp_path / "report")
    text = page.read_text("utf-8")
    assert f"{path}:2: json" in text
    assert "&lt;gone&gt;.png" in text
    assert text.count("<figure>") == 1
    assert "data:image/jpeg;base64," in text
    with Image.open(picture) as image:
        assert image.width > 300


def test_the_contact_sheet_has_a_row_per_photo(records: WriteRecords, tmp_path: Path) -> None:
    dataset = SampleDataset(
        records(TICKET, PHOTO, PHOTO), augmentation=Pipeline((HFlipOp(name="hflip"),)), shuffle=False
    )
    with Image.open(write_contact_sheet(dataset, tmp_path / "sheet.png", records=2, variants=3)) as image:
        assert image.width > 3 * 300
        assert image.height > 2 * 200


def test_data_is_drawn_once_and_again_when_asked_for_differently(tmp_path: Path) -> None:
    section = ScenesSection(train=SceneSet(seed=1, count=2, tickets=3), size_wh=(256, 192))
    (path,) = draw_data(section, tmp_path).values()
    report = validate(path, summary_share=1.0, decode=True)
    assert report.errors == ()
    assert dict(report.tasks) == {"dense": 2, "stage_a": 2, "verdict": 3}
    before = path.stat().st_mtime_ns
    assert draw_data(section, tmp_path)["train"].stat().st_mtime_ns == before
    other = section.model_copy(update={"train": SceneSet(seed=1, count=1)})
    assert validate(draw_data(other, tmp_path)["train"]).records == 1


def test_text_tickets_are_others_than_the_painted_ones(tmp_path: Path) -> None:
    section = ScenesSection(train=SceneSet(seed=1, count=1, tickets=3, text_tickets=6), size_wh=(256, 192))
    (path,) = draw_data(section, tmp_path).values()
    assert validate(path).errors == ()
    _, *tickets = map(json.loads, path.read_text("utf-8").splitlines())
    assert len({ticket["group_id"] for ticket in tickets}) == 9
    assert all(ticket["summaries"] and not ticket["photos"] for ticket in tickets[3:])


def test_tickets_are_composed_of_the_photos_of_the_set(tmp_path: Path) -> None:
    section = ScenesSection(train=SceneSet(seed=1, count=60, lessons=240, composed_tickets=28), size_wh=(256, 192))
    (path,) = draw_data(section, tmp_path).values()
    report = validate(path, summary_share=1.0)
    assert report.errors == ()
    assert dict(report.tasks) == {"dense": 300, "stage_a": 300, "verdict": 28}
    records = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    drawn = {record["images"][0]: record["summary"] for record in records[:300]}
    for ticket in records[300:]:
        assert ticket["photos"] or ticket["summaries"]
        assert set(ticket["photos"]) <= set(drawn)
        assert set(ticket["summaries"]) <= set(drawn.values())
        if ticket["photos"] and ticket["summaries"]:
            assert [drawn[photo] for photo in ticket["photos"]] == ticket["summaries"]
    assert len({(bool(ticket["photos"]), bool(ticket["summaries"])) for ticket in records[300:]}) == 3


@pytest.mark.parametrize("columns", [1, 3])
def test_images_of_tickets_come_by_turns(tmp_path: Path, columns: int) -> None:
    section = ScenesSection(train=SceneSet(seed=5, count=1, tickets=columns), size_wh=(256, 192))
    dataset = SampleDataset(draw_data(section, tmp_path)["train"], shuffle=False)
    examples = [dataset[index] for index in range(1, columns + 1)]
    assert examples[0].images == ()
    assert "图片摘要" in examples[0].prompt.after
    if columns == 3:
        assert examples[1].images
        assert "图片摘要" not in examples[1].prompt.after
        assert examples[2].images
        assert "图片摘要" in examples[2].prompt.after
