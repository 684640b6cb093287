"""Photos of a training-free run: found by the name that Stage-A gave, named when they cannot be used."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest

from service.cli.stage_b_files import photo_loader
from service.learning.config import StageBConfig
from service.learning.labelled_tickets import LabelledTicket
from service.photos.reader import PhotoReader
from tests.support import photos
from vqc.errors import InvalidValue, PhotoRejected
from vqc.image import PhotoLimits, canonical_photo


@dataclass
class Config:
    photos_root: Path | None = None


@dataclass
class Record:
    place: str
    photos: tuple[str, ...]


async def loaded(folder: Path, *names: str):
    load = photo_loader(cast(StageBConfig, Config()), PhotoReader(PhotoLimits(), threads=1))
    return await load(cast(LabelledTicket, Record(place=f"{folder / 'tickets.jsonl'}:3", photos=names)))


async def test_a_photo_is_found_with_or_without_its_suffix_and_under_its_readable_name(tmp_path):
    for name in ("a.jpg", os.fsdecode("照片1.jpg".encode("gbk")), "c.heic"):
        (tmp_path / name).write_bytes(photos.oriented(6, "HEIF") if name == "c.heic" else photos.jpeg())
    found = await loaded(tmp_path, "a", "照片1", "c", "a.jpg")
    assert found[:2] == (canonical_photo(photos.jpeg()),) * 2
    assert (found[2].media_type, found[3]) == ("image/webp", found[0])


async def test_a_photo_that_is_missing_or_broken_is_named(tmp_path):
    (tmp_path / "b.jpg").write_bytes(photos.BAD["truncated-jpeg"])
    with pytest.raises(PhotoRejected, match=r"b\.jpg: .* must be complete"):
        await loaded(tmp_path, "b")
    with pytest.raises(InvalidValue, match=r"gone.*tickets\.jsonl:3 names it"):
        await loaded(tmp_path, "gone")
