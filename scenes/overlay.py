"""Draws objects on a photo: outlines, numbered tags and, below the photo, a legend of full descriptions.

The photo's pixels keep their position: the picture only grows downwards. A type (the first level of a description) has
one colour in every picture. The input image is not modified.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

from scenes.fonts import cjk_font
from vqc.caption import CaptionObject
from vqc.geometry import Kind, Point

RGB = tuple[int, int, int]
Box = tuple[float, float, float, float]

PALETTE: tuple[RGB, ...] = (
    (255, 214, 10),
    (64, 196, 255),
    (255, 105, 97),
    (105, 240, 130),
    (255, 140, 240),
    (255, 170, 70),
    (170, 160, 255),
    (80, 240, 220),
)
TYPES = ("标签", "BBU设备", "螺丝、光纤插头", "电线", "光纤", "挡风板", "RRU设备", "RRU支架")
"""Types with a colour of their own, in the order of ``PALETTE``; any other type gets one by its name's checksum."""

INK, PANEL, PANEL_INK = (16, 18, 22), (24, 27, 33), (232, 234, 238)


@dataclass(frozen=True, slots=True)
class _Measures:
    """Sizes in pixels, proportional to the photo."""

    line: int
    tag: int
    text: int
    pad: int


def color_of(desc: str) -> RGB:
    """The colour of an object's type."""
    kind = desc.split("/", 1)[0]
    index = TYPES.index(kind) if kind in TYPES else zlib.crc32(kind.encode()) % len(PALETTE)
    return PALETTE[index]


def short_name(desc: str) -> str:
    """The text of a tag: the type or, for a type with several kinds of objects, the kind.

    >>> short_name("BBU设备/华为,显示完整"), short_name("螺丝、光纤插头/BBU安装螺丝,显示完整,符合要求")
    ('BBU设备', 'BBU安装螺丝')
    """
    levels = desc.split("/")
    name = levels[1].split(",")[0] if "、" in levels[0] and len(levels) > 1 else levels[0]
    return name[:12]


def draw_overlay(image: Image.Image, objects: Sequence[CaptionObject], *, legend: bool = True) -> Image.Image:
    """A new RGB picture of the photo with its pixel-space objects drawn, numbered in the order given."""
    photo = image.convert("RGB")
    if photo is image:
        photo = image.copy()
    longest = max(photo.size)
    sizes = _Measures(
        line=max(2, round(longest / 360)),
        tag=max(12, round(longest / 58)),
        text=max(13, round(longest / 56)),
        pad=max(2, round(longest / 300)),
    )
    draw = ImageDraw.Draw(photo)
    for item in objects:
        _outline(draw, item, sizes.line)
    _tags(draw, photo.size, objects, sizes)
    return _with_legend(photo, objects, sizes) if legend and objects else photo


def _outline(draw: ImageDraw.ImageDraw, item: CaptionObject, width: int) -> None:
    points, color = list(item.shape.points), color_of(item.desc)
    if item.shape.kind is Kind.BBOX:
        (x0, y0), (x1, y1) = points
        points = [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
    ring = points if item.shape.kind is Kind.LINE else [*points, points[0], points[1]]
    draw.line(ring, fill=INK, width=width + 2, joint="curve")
    draw.line(ring, fill=color, width=width, joint="curve")
    if item.shape.kind is Kind.LINE:
        radius = width * 1.4
        for x, y in points:
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=color, outline=INK)


def _tags(
    draw: ImageDraw.ImageDraw, size_wh: tuple[int, int], objects: Sequence[CaptionObject], sizes: _Measures
) -> None:
    # Greedy: each tag takes its cheapest position given the tags already placed. The number alone costs a little more
    # than number and name, so a name is only dropped where it would cover other tags or objects.
    font, placed = cjk_font(sizes.tag), []
    bounds = [_bounds(item) for item in objects]
    for n, item in enumerate(objects, start=1):
        options: list[tuple[float, Box, str]] = []
        for penalty, text in ((0.0, f"{n} {short_name(item.desc)}"), (0.15, str(n))):
            wide, tall = font.getlength(text) + 2 * sizes.pad + 2, sizes.tag * 1.22 + sizes.pad
            for spot in _spots(item, bounds[n - 1], wide, tall, sizes.line + 1):
                inside = _clamp_to_photo(spot, size_wh)
                options.append((penalty + _cost(inside, placed, bounds), inside, text))
        _, best, text = min(options, key=lambda option: option[0])  # the first of equals
        placed.append(best)
        draw.rectangle(best, fill=color_of(item.desc), outline=INK)
        draw.text(((best[0] + best[2]) / 2, (best[1] + best[3]) / 2), text, font=font, fill=INK, anchor="mm")


def _spots(item: CaptionObject, bounds: Box, wide: float, tall: float, gap: float) -> list[Box]:
    """Candidate positions of a tag, best first: outside the corners, beside the shape, inside it; for a line, along it."""
    x0, y0, x1, y1 = bounds
    middle = (y0 + y1 - tall) / 2
    corners: list[Point] = [(x0, y0 - tall - gap), (x1 - wide, y0 - tall - gap), (x0, y1 + gap), (x1 - wide, y1 + gap)]
    beside: list[Point] = [(x1 + gap, middle), (x0 - wide - gap, middle), (x1 + gap, y0), (x0 - wide - gap, y0)]
    inner: list[Point] = [(x0 + gap, y0 + gap), (x1 - wide - gap, y1 - tall - gap)]
    if item.shape.kind is Kind.LINE:
        points = item.shape.points
        nodes = [points[len(points) // 2], *points]
        if len(points) == 2:
            nodes = [((x0 + x1) / 2, (y0 + y1) / 2), *points]
        corners, inner = [], []
        beside = [(x + side, y - tall / 2) for x, y in nodes for side in (gap * 3, -wide - gap * 3)]
    big = (x1 - x0) > wide * 1.6 and (y1 - y0) > tall * 2
    ordered = [*inner, *corners, *beside] if big else [*corners, *beside, *inner]
    return [(x, y, x + wide, y + tall) for x, y in ordered]


def _bounds(item: CaptionObject) -> Box:
    xs, ys = item.shape.xy[0::2], item.shape.xy[1::2]
    return min(xs), min(ys), max(xs), max(ys)


def _clamp_to_photo(box: Box, size_wh: tuple[int, int]) -> Box:
    wide, tall = box[2] - box[0], box[3] - box[1]
    x = max(0.0, min(box[0], size_wh[0] - 1 - wide))
    y = max(0.0, min(box[1], size_wh[1] - 1 - tall))
    return x, y, x + wide, y + tall


def _cost(spot: Box, placed: Sequence[Box], bounds: Sequence[Box]) -> float:
    """How much of a tag covers other tags (weighted 20 times) and small objects, including its own."""
    area = (spot[2] - spot[0]) * (spot[3] - spot[1])
    covered = sum(_overlap(spot, box) for box in bounds if (box[2] - box[0]) * (box[3] - box[1]) < 12 * area)
    return round((20 * sum(_overlap(spot, box) for box in placed) + covered) / area, 3)


def _overlap(a: Box, b: Box) -> float:
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))


def _with_legend(photo: Image.Image, objects: Sequence[CaptionObject], sizes: _Measures) -> Image.Image:
    """The photo above a panel with one numbered line per object, in as many columns as fit."""
    font = cjk_font(sizes.text)
    chip = round(sizes.text * 2.0)
    widths = [chip + font.getlength(item.desc) + 3 * sizes.pad for item in objects]
    columns = max(1, min(2, int(photo.width // max(widths)), len(objects)))
    rows, step = -(-len(objects) // columns), round(sizes.text * 1.5)
    lines = [fit_text(item.desc, font, photo.width / columns - chip - 3 * sizes.pad) for item in objects]
    picture = Image.new("RGB", (photo.width, photo.height + rows * step + 2 * sizes.pad), PANEL)
    picture.paste(photo, (0, 0))
    draw = ImageDraw.Draw(picture)
    for n, (item, line) in enumerate(zip(objects, lines, strict=True)):
        x = (n // rows) * photo.width / columns + sizes.pad
        y = photo.height + sizes.pad + (n % rows) * step
        draw.rectangle((x, y + 2, x + chip - sizes.pad, y + step - 3), fill=color_of(item.desc))
        draw.text((x + (chip - sizes.pad) / 2, y + step / 2), str(n + 1), font=font, fill=INK, anchor="mm")
        draw.text((x + chip + sizes.pad, y + step / 2), line, font=font, fill=PANEL_INK, anchor="lm")
    return picture


def fit_text(text: str, font: ImageFont.FreeTypeFont, wide: float) -> str:
    """The text, its end replaced by an ellipsis where it is too long for the width in pixels."""
    if font.getlength(text) <= wide:
        return text
    while text and font.getlength(f"{text}…") > wide:
        text = text[:-1]
    return f"{text}…"
