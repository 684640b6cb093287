"""Previews of annotated photos: one photo with its objects drawn, and sheets of many."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw

from scenes.fonts import cjk_font
from scenes.overlay import draw_overlay, fit_text
from vqc.caption import CaptionObject

GAP_PX = 8
LINE_PX = 16
PAPER = (250, 250, 248)
INK = (30, 32, 36)


def annotate(image: Image.Image, objects: Sequence[CaptionObject], *, legend: bool = False) -> Image.Image:
    """The photo with its objects (px) drawn on it, numbered in the given order."""
    return draw_overlay(image, objects, legend=legend)


def sheet(tiles: Sequence[tuple[Image.Image, str]], columns: int, tile_width_px: int = 360) -> Image.Image:
    """The pictures in rows of ``columns``, each scaled to the same width, with its caption (one or more lines) below."""
    scaled = [
        (picture.resize((tile_width_px, max(1, round(picture.height * tile_width_px / picture.width)))), caption)
        for picture, caption in tiles
    ]
    rows = [scaled[start : start + columns] for start in range(0, len(scaled), columns)]
    heights = [max(p.height + LINE_PX * (text.count("\n") + 1) for p, text in row) + GAP_PX for row in rows]
    page = Image.new("RGB", (columns * (tile_width_px + GAP_PX) + GAP_PX, sum(heights) + GAP_PX), PAPER)
    draw, font, top = ImageDraw.Draw(page), cjk_font(12), GAP_PX
    for row, height in zip(rows, heights, strict=True):
        for column, (picture, caption) in enumerate(row):
            left = GAP_PX + column * (tile_width_px + GAP_PX)
            page.paste(picture, (left, top))
            for n, line in enumerate(caption.split("\n")):
                place = (left, top + picture.height + n * LINE_PX)
                draw.text(place, fit_text(line, font, tile_width_px), fill=INK, font=font)
        top += height
    return page
