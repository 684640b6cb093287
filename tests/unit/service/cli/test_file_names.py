"""Photo files of commands: every name is text, every photo has a name of its own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from service.cli.caption_files import drawing_names
from service.cli.file_names import escaped_name, find_photo, read_photo, readable_name
from service.cli.stage_a_files import photos_below
from vqc.errors import InvalidValue


def gbk(name: str) -> str:
    return os.fsdecode(name.encode("gbk"))


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode("utf-8", "surrogateescape"))
    return folder


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("现场 照片\u3000①.jpg", "现场 照片\u3000①.jpg"),  # UTF-8 stays as it is
        (gbk("现场") + "/" + gbk("照片1.jpg"), "现场/照片1.jpg"),
        ("现场/" + gbk("照片1.jpg"), "现场/照片1.jpg"),
        (os.fsdecode(b"caf\xe9.jpg"), "caf\\xe9.jpg"),
        (os.fsdecode(b"\xff\xfe\x80.jpg"), "\\xff\\xfe\\x80.jpg"),
    ],
)
def test_every_file_name_is_text_that_can_be_written(name, text):
    assert readable_name(Path(name)) == text
    assert text.encode()
    assert escaped_name(name).encode()


def test_image_ids_are_text_and_each_photo_has_its_own(tmp_path):
    touch(tmp_path, "照片1.jpg", gbk("照片1.jpg"), gbk("站点") + "/a.jpg", "img2.jpg", "IMG10.PNG")
    found = photos_below(tmp_path)
    escaped = escaped_name(gbk("照片1.jpg"))
    assert set(found) == {"img2", "IMG10", "照片1", "站点/a", escaped}
    assert found[escaped].read_bytes() == "照片1.jpg".encode("gbk")


def test_a_phone_s_heic_beside_its_jpeg_has_an_id_of_its_own(tmp_path):
    found = photos_below(touch(tmp_path, "IMG_1.HEIC", "IMG_1.JPG", "IMG_2.heic"))
    assert {key: path.name for key, path in found.items()} == {
        "IMG_1": "IMG_1.JPG",
        "IMG_1.HEIC": "IMG_1.HEIC",
        "IMG_2": "IMG_2.heic",
    }


def test_a_photo_is_found_by_the_name_that_stage_a_gave_it(tmp_path):
    touch(tmp_path, gbk("站点") + "/" + gbk("照片1.jpg"), gbk("站点") + "/b.png", "c/d.jpeg")
    for name in ("站点/照片1", "站点/照片1.jpg", "站点/b", "c/d"):
        assert find_photo(tmp_path, name, ("", ".jpeg", ".jpg", ".png"))
    assert find_photo(tmp_path, "站点/照片2", ("", ".jpg")) is None
    assert find_photo(tmp_path / "nowhere", "a", ("",)) is None


def test_two_photos_of_one_name_are_drawn_into_two_files():
    photos = [Path("d1/IMG_1.jpg"), Path("d2/IMG_1.jpg"), Path("IMG_1.2.png"), Path("img_1.webp"), Path("d1/IMG_1.jpg")]
    names = drawing_names(photos)
    assert names[0] == "IMG_1.overlay.png"
    assert names[2] == "IMG_1.2.overlay.png"
    assert len({name.casefold() for name in names}) == len(photos)


def test_a_photo_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(InvalidValue, match=r"gone\.jpg.*must be readable: No such file"):
        read_photo(tmp_path / "gone.jpg")
