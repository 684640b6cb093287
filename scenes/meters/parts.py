"""Painters of a meter box: its body and cover, seal, glands and wires, and the meter with its display."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from scenes.canvas import RGB, Canvas, mix, shade
from scenes.curves import resample
from scenes.meters.words import Reading, SealState
from scenes.stage import Box
from vqc.geometry import Point, polyline_length

SEAL_RADIUS = 21.0
SEAL_COLORS: tuple[RGB, ...] = ((206, 40, 44), (30, 96, 200), (240, 190, 30))
COPPER: RGB = (232, 128, 48)


@dataclass(frozen=True, slots=True)
class Door:
    """The cover of a box: its place when it is closed, on which side it hangs, and how far it is open (0: closed)."""

    box: Box
    hinge_left: bool
    swing: float = 0.0

    @property
    def corners(self) -> tuple[Point, Point, Point, Point]:
        """Its corners, from the upper hinge around; the outer edge of an open one is nearer, hence higher."""
        x0, y0, x1, y1 = self.box
        if not self.swing:
            return (x0, y0), (x1, y0), (x1, y1), (x0, y1)
        hinge, sign, rise = (x0, -1, self.swing * 0.22) if self.hinge_left else (x1, 1, self.swing * 0.22)
        outer = hinge + sign * self.swing
        return (hinge, y0), (outer, y0 - rise), (outer, y1 + rise), (hinge, y1)


def paint_body(canvas: Canvas, box: Box, color: RGB) -> None:
    """The box on the wall, dark inside."""
    x0, y0, x1, y1 = box
    canvas.rect(x0 + 5, y0 + 6, x1 + 7, y1 + 8, (86, 84, 80))
    canvas.gradient(x0, y0, x1, y1, (shade(color, 0.92), shade(color, 0.74)))
    canvas.frame(x0, y0, x1, y1, 2, shade(color, 0.5))
    canvas.rect(x0 + 12, y0 + 12, x1 - 12, y1 - 12, (34, 36, 40))
    for k in (0.3, 0.5, 0.7):
        y = y0 + (y1 - y0) * k
        canvas.rect(x0 + 24, y, x1 - 24, y + 7, (96, 98, 104))
        canvas.rect(x0 + 24, y + 7, x1 - 24, y + 9, (18, 18, 20))


def paint_door(canvas: Canvas, door: Door, color: RGB, cracked: bool = False) -> None:
    """The cover: closed with a bolt sign and louvres, or open, seen from its inner side."""
    corners = door.corners
    if door.swing:
        canvas.polygon(corners, shade(color, 0.42))
        inner = [_toward(corner, _centre(corners), 0.1) for corner in corners]
        canvas.polygon(inner, shade(color, 0.66))
        return
    x0, y0, x1, y1 = door.box
    canvas.gradient(x0, y0, x1, y1, (shade(color, 1.1), shade(color, 0.94)))
    canvas.frame(x0, y0, x1, y1, 2.5, shade(color, 0.55))
    hinge = x0 + 3 if door.hinge_left else x1 - 9
    for k in (0.18, 0.78):
        canvas.rect(hinge, y0 + (y1 - y0) * k, hinge + 6, y0 + (y1 - y0) * k + 26, shade(color, 0.4))
    middle, top = (x0 + x1) / 2, y0 + (y1 - y0) * 0.16
    canvas.polygon(((middle, top - 17), (middle + 19, top + 15), (middle - 19, top + 15)), (30, 30, 30))
    canvas.polygon(((middle, top - 12), (middle + 14, top + 12), (middle - 14, top + 12)), (248, 214, 40))
    canvas.stroke(
        ((middle + 3, top - 5), (middle - 3, top + 2), (middle + 3, top + 2), (middle - 2, top + 9)), 2, (20, 20, 20)
    )
    for k in range(4):
        y = y0 + (y1 - y0) * (0.78 + 0.045 * k)
        canvas.rect(middle - 34, y, middle + 34, y + 3.5, shade(color, 0.5))
    if cracked:
        _crack(canvas, (middle - 10, y0 + (y1 - y0) * 0.5), (x1 - x0) * 0.34)


def paint_seal(canvas: Canvas, at: Point, state: SealState, color: RGB) -> None:
    """The latch plate with its eyelet and, unless it is missing, the lead with its wire; a broken one is in two halves."""
    (x, y), r = at, SEAL_RADIUS
    canvas.disc((x, y), r, (50, 52, 56))
    canvas.disc((x, y), r * 0.9, (190, 192, 194))
    if state is SealState.ABSENT:
        canvas.disc((x, y), r * 0.42, (60, 62, 66))
        canvas.disc((x, y), r * 0.32, (10, 10, 12))
    elif state is SealState.INTACT:
        canvas.stroke(((x - r * 0.5, y - r * 0.7), (x, y), (x + r * 0.5, y - r * 0.7)), 2.4, (70, 72, 76))
        canvas.disc((x, y + r * 0.1), r * 0.62, shade(color, 0.6))
        canvas.disc((x, y + r * 0.1), r * 0.52, color)
        canvas.disc((x, y + r * 0.1), r * 0.2, shade(color, 1.5))
    else:
        canvas.stroke(((x - r * 0.55, y - r * 0.75), (x - r * 0.25, y - r * 0.1)), 2.4, (70, 72, 76))
        for side in (-1, 1):
            cx = x + side * r * 0.44
            half = [(cx + side * r * 0.4 * math.cos(k), y + r * 0.14 + r * 0.6 * math.sin(k)) for k in _HALF]
            canvas.polygon(half, color)
        canvas.stroke(
            ((x, y - r * 0.5), (x - 3, y - r * 0.1), (x + 3, y + r * 0.3), (x - 2, y + r * 0.8)), 3, (20, 20, 22)
        )


_HALF = tuple(math.pi * (k / 8 - 0.5) for k in range(9))


def paint_gland(canvas: Canvas, at: Point, fitted: bool) -> None:
    """A cable gland under the box, or the bare hole where it is missing; ``at`` is the middle of the box's lower edge."""
    x, y = at
    if fitted:
        canvas.rect(x - 21, y, x + 21, y + 14, (30, 31, 34))
        for k in (-21, -9, 5):
            canvas.rect(x + k + 2, y + 2, x + k + 12, y + 12, (70, 72, 78))
        canvas.polygon(((x - 17, y + 14), (x + 17, y + 14), (x + 12, y + 36), (x - 12, y + 36)), (38, 39, 42))
        canvas.polygon(((x - 12, y + 15), (x - 4, y + 15), (x - 4, y + 35), (x - 9, y + 35)), (92, 94, 100))
        return
    canvas.rect(x - 21, y, x + 21, y + 36, (206, 202, 194))
    canvas.frame(x - 21, y, x + 21, y + 36, 2, (150, 146, 138))
    canvas.disc((x, y + 18), 15, (96, 92, 86))
    canvas.disc((x, y + 18), 12.5, (8, 8, 10))


def gland_box(at: Point) -> Box:
    """What a gland covers on the plane."""
    return at[0] - 21, at[1], at[0] + 21, at[1] + 36


def paint_lead(canvas: Canvas, path: Sequence[Point], color: RGB, bare: bool, damaged: bool = False) -> None:
    """A wire in its insulation; a bare one shows copper over its middle, a damaged one is scorched at one place."""
    for width, tone in ((13, shade(color, 0.45)), (10.5, color), (3, shade(color, 1.4))):
        canvas.stroke(path, width, tone)
    points = resample(path, 25)
    if bare:
        middle = points[5:17]
        for width, tone in ((13, shade(COPPER, 0.5)), (9, COPPER), (2.5, (255, 206, 150))):
            canvas.stroke(middle, width, tone)
    if damaged:
        for k, point in enumerate(points[18:22]):
            canvas.disc(point, (6, 9, 8, 5)[k], (22, 18, 16))


def paint_clips(canvas: Canvas, path: Sequence[Point]) -> None:
    """White clips that hold a fastened wire."""
    for point in resample(path, max(5, 2 * int(polyline_length(path) / 90) + 3))[1:-1:2]:
        canvas.rect(point[0] - 13, point[1] - 4.5, point[0] + 13, point[1] + 4.5, (110, 110, 108))
        canvas.rect(point[0] - 12, point[1] - 4, point[0] + 12, point[1] + 2.5, (240, 240, 236))


def paint_meter(canvas: Canvas, box: Box, color: RGB, rusty: bool, dented: bool, salt: int) -> None:
    """The meter: its housing with nameplate, lamp and terminal cover; rust eats it from its edges."""
    x0, y0, x1, y1 = box
    rng, wide, tall = random.Random(salt), x1 - x0, y1 - y0
    canvas.rect(x0 + 5, y0 + 6, x1 + 6, y1 + 7, (70, 70, 70))
    canvas.gradient(x0, y0, x1, y1, (shade(color, 1.08), shade(color, 0.88)))
    canvas.frame(x0, y0, x1, y1, 3, shade(color, 0.5))
    canvas.rect(x0 + 10, y1 - tall * 0.24, x1 - 10, y1 - tall * 0.225, shade(color, 0.45))
    for k in range(4):
        canvas.disc((x0 + wide * (0.2 + 0.2 * k), y1 - tall * 0.12), 9, shade(color, 0.6))
        canvas.rect(
            x0 + wide * (0.2 + 0.2 * k) - 6,
            y1 - tall * 0.12 - 1,
            x0 + wide * (0.2 + 0.2 * k) + 6,
            y1 - tall * 0.12 + 1.5,
            (40, 40, 44),
        )
    canvas.text(((x0 + x1) / 2, y0 + tall * 0.56), "kWh", 20, (40, 42, 46))
    for k in range(22):
        left = x0 + wide * 0.3 + k * wide * 0.4 / 22
        canvas.rect(left, y0 + tall * 0.63, left + rng.uniform(1, 3), y0 + tall * 0.7, (30, 30, 34))
    canvas.disc((x0 + wide * 0.15, y0 + tall * 0.6), 5, (220, 40, 40))
    if dented:
        _crack(canvas, (x0 + wide * 0.8, y0 + tall * 0.66), wide * 0.1)
        canvas.disc((x0 + wide * 0.8, y0 + tall * 0.66), wide * 0.07, shade(color, 0.55))
    if rusty:
        _rust(canvas, box, rng)


def paint_display(canvas: Canvas, box: Box, reading: Reading, digits: str) -> None:
    """The display with its reading, unless it is dark, covered by a strip of tape, or lost in a reflection."""
    x0, y0, x1, y1 = box
    wide, tall = x1 - x0, y1 - y0
    canvas.rect(x0, y0, x1, y1, (36, 38, 40))
    glass: RGB = (18, 22, 22) if reading is Reading.DARK else (168, 186, 140)
    canvas.rect(x0 + 4, y0 + 4, x1 - 4, y1 - 4, glass)
    if reading is not Reading.DARK:
        canvas.text(((x0 + x1) / 2, (y0 + y1) / 2), digits, tall * 0.62, (24, 32, 24))
    if reading is Reading.COVERED:
        canvas.polygon(
            ((x0 + 1, y0 + tall * 0.2), (x1 - 1, y0 + 2), (x1 - 1, y0 + tall * 0.8), (x0 + 1, y1 - 2)), (150, 112, 70)
        )
        canvas.stroke(((x0 + 3, y0 + tall * 0.5), (x1 - 3, y0 + tall * 0.35)), 2, (118, 86, 52))
    elif reading is Reading.GLARING:
        for k, tone in ((0.0, 0.75), (0.06, 1.0)):
            left, right = x0 + wide * (0.12 + k), x1 - wide * (0.12 + k)
            light = mix(glass, (255, 255, 255), tone)
            canvas.polygon(
                ((left + tall * 0.4, y0 + 4), (right, y0 + 4), (right - tall * 0.4, y1 - 4), (left, y1 - 4)), light
            )


def _rust(canvas: Canvas, box: Box, rng: random.Random) -> None:
    x0, y0, x1, y1 = box
    for _ in range(rng.randint(4, 6)):
        side = rng.randrange(3)
        x = rng.uniform(x0 + 18, x1 - 18) if side == 0 else (x0 + 16 if side == 1 else x1 - 16)
        y = y1 - 20 if side == 0 else rng.uniform(y0 + (y1 - y0) * 0.5, y1 - 20)
        for color in ((112, 54, 20), (176, 92, 38), (92, 42, 16), (198, 116, 54)):
            dx, dy = rng.uniform(-8, 8), rng.uniform(-8, 8)
            canvas.disc((x + dx, y + dy), rng.uniform(5, 10), color)


def _crack(canvas: Canvas, at: Point, reach: float) -> None:
    """Dark cracks from a point."""
    x, y = at
    for dx, dy in ((-1.0, -0.6), (0.9, -0.8), (0.7, 0.9), (-0.8, 0.7)):
        bend = (x + dx * reach * 0.5 - dy * 6, y + dy * reach * 0.5 + dx * 6)
        canvas.stroke((at, bend, (x + dx * reach, y + dy * reach)), 3, (16, 16, 18))


def _centre(points: Sequence[Point]) -> Point:
    return sum(x for x, _ in points) / len(points), sum(y for _, y in points) / len(points)


def _toward(point: Point, goal: Point, share: float) -> Point:
    return point[0] + (goal[0] - point[0]) * share, point[1] + (goal[1] - point[1]) * share
