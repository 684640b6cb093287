"""Data sets and samples on disk are what the trainer and the demo read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from scenes import samples
from scenes.scene import draw_scene
from scenes.write import record, write_dataset
from vqc.geometry import Kind

SMALL = (256, 192)


def _files(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_records_name_photos_and_give_pixel_coordinates(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    path = write_dataset(tmp_path, seed=1, count=12, size_wh=SMALL, progress=lambda *a: calls.append(a))
    assert calls == [(n, 12) for n in range(1, 13)]
    records = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert [item["images"] for item in records] == [[f"images/{n:06d}.jpg"] for n in range(1, 13)]
    for item in records:
        with Image.open(tmp_path / item["images"][0]) as image:
            assert image.size == (item["width"], item["height"]) == SMALL
        assert item["summary"]
        for thing in item["objects"]:
            (kind,) = [kind for kind in Kind if kind.value in thing]
            assert set(thing) == {kind.value, "desc"} | ({"line_points"} if kind is Kind.LINE else set())
            if kind is Kind.LINE:
                assert len(thing["line"]) == 2 * thing["line_points"]


def test_the_number_of_workers_changes_nothing(tmp_path: Path) -> None:
    for workers in (1, 2):
        write_dataset(tmp_path / str(workers), seed=5, count=6, size_wh=SMALL, workers=workers)
    assert _files(tmp_path / "1") == _files(tmp_path / "2")


def test_other_seeds_share_no_photo(tmp_path: Path) -> None:
    for seed in (1, 2):
        write_dataset(tmp_path / str(seed), seed=seed, count=5, size_wh=SMALL)
    one, two = (set(_files(tmp_path / str(seed) / "images").values()) for seed in (1, 2))
    assert len(one | two) == 10


def test_irrelevant_photos_have_an_empty_record() -> None:
    scene = next(scene for scene in (draw_scene(s, size_wh=SMALL) for s in range(100)) if not scene.objects)
    assert record(scene, "a.jpg")["objects"] == []
    assert record(scene, "a.jpg")["summary"] == "无关图片"


def test_samples_are_the_same_every_time_and_small(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    samples.write_samples(tmp_path / "a")
    monkeypatch.setattr("sys.argv", ["samples", str(tmp_path / "b")])
    samples.main()
    assert "rack.jpg" in capsys.readouterr().out
    files = _files(tmp_path / "a")
    assert files == _files(tmp_path / "b")
    assert sum(len(data) for name, data in files.items() if name.endswith(".jpg")) < 1_200_000
    lines = [json.loads(line) for line in files["samples.jsonl"].decode().splitlines()]
    assert sum(line["summary"] == "无关图片" for line in lines) == 1
    ticket = json.loads(files["ticket.json"])
    assert len(ticket["photos"]) == 4
    assert ticket["label"] == ticket["true_label"]
    assert all(name in files for name in [*ticket["photos"], *(line["images"][0] for line in lines)])
