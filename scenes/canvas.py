"""A canvas for painters: takes plane coordinates and draws anti-aliased photo pixels.

Owns supersampling, text on the tilted plane, and the light and grain of the rendered photo. Colours are RGB triples.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from functools import cache

from PIL import Image, ImageChops, ImageDraw

from scenes.camera import Camera
from scenes.fonts import cjk_font
from vqc.geometry import Point

RGB = tuple[int, int, int]
SUPERSAMPLING = 2
GRAIN = 5
"""The largest change by the grain, in grey levels."""


def shade(color: RGB, factor: float) -> RGB:
    """The colour made lighter (factor > 1) or darker.

    >>> shade((100, 100, 200), 1.5)
    (150, 150, 255)
    """
    return tuple(min(255, max(0, int(v * factor))) for v in color)  # type: ignore[return-value]


def mix(a: RGB, b: RGB, t: float) -> RGB:
    """The colour at fraction ``t`` of the way from ``a`` to ``b``."""
    return tuple(int(x + (y - x) * t) for x, y in zip(a, b, strict=True))  # type: ignore[return-value]


class Canvas:
    """A picture being painted, seen through a camera. Sizes and positions are in plane units."""

    def __init__(self, camera: Camera, background: RGB) -> None:
        self.camera = camera.with_supersampling(SUPERSAMPLING)
        self.image = Image.new("RGB", self.camera.size_wh, background)
        self._draw = ImageDraw.Draw(self.image)

    def polygon(self, points: Sequence[Point], fill: RGB) -> None:
        """Draws a filled polygon."""
        self._draw.polygon(self.camera.project_all(points), fill=fill)

    def rect(self, x0: float, y0: float, x1: float, y1: float, fill: RGB) -> None:
        """Draws a filled rectangle of the plane."""
        if self.camera.is_frontal:
            (left, top), (right, bottom) = self.camera.project((x0, y0)), self.camera.project((x1, y1))
            if right - left >= 1 and bottom - top >= 1:
                self._draw.rectangle((round(left), round(top), round(right) - 1, round(bottom) - 1), fill=fill)
        else:
            self._draw.polygon(self.camera.project_all(((x0, y0), (x1, y0), (x1, y1), (x0, y1))), fill=fill)

    def gradient(self, x0: float, y0: float, x1: float, y1: float, colors: tuple[RGB, RGB], steps: int = 6) -> None:
        """Draws a rectangle with a vertical gradient from the first colour (top) to the second."""
        step = (y1 - y0) / steps
        for k in range(steps):
            self.rect(x0, y0 + k * step, x1, y0 + (k + 1) * step, mix(*colors, k / max(1, steps - 1)))

    def frame(self, x0: float, y0: float, x1: float, y1: float, width: float, fill: RGB) -> None:
        """Draws the border of a rectangle, inside it."""
        self.rect(x0, y0, x1, y0 + width, fill)
        self.rect(x0, y1 - width, x1, y1, fill)
        self.rect(x0, y0, x0 + width, y1, fill)
        self.rect(x1 - width, y0, x1, y1, fill)

    def disc(self, center: Point, radius: float, fill: RGB) -> None:
        """Draws a filled circle; it stays a circle under every camera."""
        (x, y), r = self.camera.project(center), radius * self.camera.scale_at(center)
        self._draw.ellipse((x - r, y - r, x + r, y + r), fill=fill)

    def stroke(self, points: Sequence[Point], width: float, fill: RGB) -> None:
        """Draws a line of the given width with round joints."""
        pixels = max(1, round(width * self.camera.scale_at(points[len(points) // 2])))
        self._draw.line(self.camera.project_all(points), fill=fill, width=pixels, joint="curve" if pixels > 5 else None)

    def text(self, center: Point, text: str, size: float, fill: RGB, angle_deg: float = 0.0) -> None:
        """Draws text centred on a point, ``size`` units high, rotated clockwise on the plane."""
        x, y = self.camera.project(center)
        mask = _text_mask(text, max(4, round(size * self.camera.scale_at(center))))
        turn = angle_deg + self.camera.angle_deg
        if turn:
            mask = mask.rotate(-turn, Image.Resampling.BILINEAR, expand=True)
        self.image.paste(fill, (round(x - mask.width / 2), round(y - mask.height / 2)), mask)

    def render(self, rng: random.Random) -> Image.Image:
        """The photo: reduced to its size, unevenly lit, with grain."""
        photo = self.image.reduce(SUPERSAMPLING)
        warmth = rng.uniform(-0.05, 0.05)
        tint = (1 - max(0.0, -warmth), 1.0, 1 - max(0.0, warmth))
        corners = bytes(int(255 * light * part) for light in _corner_lights(rng) for part in tint)
        light = Image.frombytes("RGB", (2, 2), corners).resize(photo.size, Image.Resampling.BILINEAR)
        photo = ImageChops.multiply(photo, light)
        grain = Image.frombytes("L", photo.size, rng.randbytes(photo.width * photo.height))
        grain = grain.point([v * 2 * GRAIN // 255 for v in range(256)])
        return ImageChops.add(photo, Image.merge("RGB", (grain, grain, grain)), 1, -GRAIN)


def _corner_lights(rng: random.Random) -> list[float]:
    base = rng.uniform(0.9, 1.04)
    return [min(1.0, base * rng.uniform(0.82, 1.0)) for _ in range(4)]


@cache
def _text_mask(text: str, size_px: int) -> Image.Image:
    font = cjk_font(size_px)
    left, top, right, bottom = font.getbbox(text)
    mask = Image.new("L", (math.ceil(right - left) + 2, math.ceil(bottom - top) + 2))
    ImageDraw.Draw(mask).text((1 - left, 1 - top), text, font=font, fill=255)
    return mask
