"""The overlay shows every object, readably, and leaves the photo alone."""

from __future__ import annotations

import pytest
from PIL import Image, ImageChops

from scenes.fonts import cjk_font
from scenes.overlay import TYPES, color_of, draw_overlay, short_name
from scenes.scene import draw_scene
from scenes.vocabulary import descs
from vqc.caption import CaptionObject
from vqc.geometry import Kind, Shape


def test_the_input_is_untouched_and_the_photo_keeps_its_place() -> None:
    scene = draw_scene(4)
    before = scene.image.tobytes()
    picture = draw_overlay(scene.image, scene.objects)
    assert scene.image.tobytes() == before
    assert picture.width == scene.image.width
    assert picture.height > scene.image.height
    bare = draw_overlay(scene.image, scene.objects, legend=False)
    assert bare.size == scene.image.size
    assert picture.crop((0, 0, *scene.image.size)).tobytes() == bare.tobytes()


def test_without_objects_the_picture_is_the_photo() -> None:
    image = Image.new("RGB", (300, 200), (1, 2, 3))
    picture = draw_overlay(image, ())
    assert picture.tobytes() == image.tobytes()
    assert picture is not image


@pytest.mark.parametrize("mode", ["RGBA", "L", "P"])
def test_other_modes_become_rgb(mode: str) -> None:
    assert draw_overlay(Image.new(mode, (300, 200)), ()).mode == "RGB"


@pytest.mark.parametrize("size", [(40, 30), (512, 384), (4000, 3000)])
@pytest.mark.parametrize("place", [(0, 0, 0.2, 0.2), (0.8, 0.8, 1, 1), (0, 0, 1, 1), (0.5, 0.5, 0.5, 0.5)])
def test_any_size_and_place_can_be_drawn(size: tuple[int, int], place: tuple[float, ...]) -> None:
    xy = tuple(v * size[k % 2] for k, v in enumerate(place))
    item = CaptionObject(shape=Shape(Kind.BBOX, xy), desc="BBU设备/华为")
    image = Image.new("RGB", size)
    changed = ImageChops.difference(image, draw_overlay(image, [item], legend=False))
    assert changed.getbbox() is not None


def test_tags_do_not_cover_each_other_where_there_is_room() -> None:
    """Each tag's colour is found at its own place: four objects side by side give four tags."""
    boxes = [(20 + 240 * k, 100, 220 + 240 * k, 300) for k in range(4)]
    names = ("BBU设备", "挡风板", "标签", "RRU设备")
    items = [CaptionObject(shape=Shape(Kind.BBOX, b), desc=n) for b, n in zip(boxes, names, strict=True)]
    picture = draw_overlay(Image.new("RGB", (1024, 768)), items, legend=False)
    for box, name in zip(boxes, names, strict=True):
        near = picture.crop((box[0] - 4, box[1] - 40, box[2] + 4, box[3] + 40))
        count = sum(n for n, color in near.getcolors(1 << 20) or [] if color == color_of(name))
        assert count > 1500


def test_a_type_has_one_colour_everywhere() -> None:
    assert len({color_of(name) for name in TYPES}) == len(TYPES)
    assert color_of("标签/至ODF") == color_of("标签/无法识别")
    assert color_of("防水盒") == color_of("防水盒/完好")


def test_chinese_glyphs_are_really_there() -> None:
    font = cjk_font(24)
    missing = bytes(font.getmask("\U0001f600"))
    assert any(missing)
    text = "".join(sorted({c for desc in descs("shifted") for c in desc} | set("无关图片理由通过不审核备注×")))
    for character in text:
        assert bytes(font.getmask(character)) != missing, character
    assert any(bytes(font.getmask("光纤插头")))


def test_unknown_characters_are_drawn_as_a_box() -> None:
    assert cjk_font(24).getmask("龘").getbbox() is not None


def test_tags_name_what_a_fixing_is() -> None:
    assert short_name("螺丝、光纤插头/ODF端光纤插头,显示完整,符合要求") == "ODF端光纤插头"
    assert short_name("螺丝、光纤插头") == "螺丝、光纤插头"
