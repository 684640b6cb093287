"""Painters of fibres, wires and labels."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from itertools import pairwise

from scenes.canvas import RGB, Canvas, shade
from scenes.curves import resample
from scenes.stage import rotated_corners
from scenes.vocabulary import UNREADABLE, Sheath
from vqc.geometry import Point, polyline_length

FIBRE_COLORS: tuple[RGB, ...] = ((246, 206, 40), (250, 140, 30), (60, 200, 210))
WIRE_COLORS: tuple[RGB, ...] = ((36, 150, 60), (36, 150, 60), (36, 90, 200), (200, 40, 36))
GROUND_GREEN = WIRE_COLORS[0]


def paint_fibre(canvas: Canvas, path: Sequence[Point], sheath: Sheath, color: RGB, torn: bool = False) -> None:
    """A fibre: bare and bright, in a ribbed pale tube, or in dark spiral armour. A torn one exposes its red core."""
    if sheath is Sheath.CORRUGATED:
        _tube(canvas, path, 10, (224, 224, 216))
        _ribs(canvas, path, 10, 5.5, 0.0, (140, 140, 132))
    elif sheath is Sheath.ARMOURED:
        _tube(canvas, path, 9, (70, 84, 110))
        _ribs(canvas, path, 9, 8, 0.9, (170, 186, 214))
    else:
        _tube(canvas, path, 4.5, color)
    if torn:
        tear = resample(path, 17)[4:7]
        canvas.stroke(tear, 20, (250, 250, 250))
        canvas.stroke(tear, 12, (232, 30, 60))


def paint_wire(canvas: Canvas, path: Sequence[Point], color: RGB, cut: bool = False) -> None:
    """A wire; a green one has the yellow stripe of a ground wire. A cut one has a gap with bare copper ends."""
    if cut:
        points = resample(path, 33)
        for end in (points[7:10], points[14:17]):
            canvas.stroke(end, 7, (236, 130, 50))
        for part in (points[:9], points[15:]):
            paint_wire(canvas, part, color)
        return
    _tube(canvas, path, 6.5, color)
    if color == GROUND_GREEN:
        points = resample(path, max(3, 2 * int(polyline_length(path) / 26) + 1))
        for k in range(0, len(points) - 1, 2):
            canvas.stroke(points[k : k + 2], 4, (236, 220, 50))


def paint_ties(canvas: Canvas, x0: float, x1: float, y: float) -> None:
    """A cable clamp across tidy wires."""
    canvas.rect(x0, y - 5, x1, y + 5, (40, 42, 46))
    canvas.rect(x0 + 1, y - 4, x1 - 1, y - 1, (104, 106, 112))


def _tube(canvas: Canvas, path: Sequence[Point], width: float, color: RGB) -> None:
    canvas.stroke(path, width + 2, shade(color, 0.45))
    canvas.stroke(path, width, shade(color, 0.9))
    canvas.stroke(path, max(1.0, width * 0.35), shade(color, 1.25))


def _ribs(canvas: Canvas, path: Sequence[Point], width: float, step: float, slant: float, color: RGB) -> None:
    """Short strokes across a path every ``step`` units, slanted along it by ``slant`` radians."""
    points = resample(path, max(3, int(polyline_length(path) / step)))
    for (xa, ya), (xb, yb) in pairwise(points):
        turn = math.atan2(yb - ya, xb - xa) + math.pi / 2 + slant
        dx, dy = width / 2 * math.cos(turn), width / 2 * math.sin(turn)
        canvas.stroke(((xa - dx, ya - dy), (xa + dx, ya + dy)), 1.6, color)


def paint_label(
    canvas: Canvas,
    box: tuple[float, float, float, float],
    turn_deg: float,
    word: str,
    paper: RGB,
    tied_to: Point | None,
    salt: int = 0,
) -> None:
    """A paper label rotated about its centre; an unreadable one is smeared. ``tied_to`` is the end of its string."""
    x0, y0, x1, y1 = box
    center = ((x0 + x1) / 2, (y0 + y1) / 2)
    if tied_to is not None:
        canvas.stroke((tied_to, center), 1.5, (230, 230, 226))
    shadow = rotated_corners((x0 + 2, y0 + 2, x1 + 2, y1 + 2), center, turn_deg)
    canvas.polygon(shadow, (30, 30, 32))
    canvas.polygon(rotated_corners(box, center, turn_deg), shade(paper, 0.7))
    canvas.polygon(rotated_corners((x0 + 1, y0 + 1, x1 - 1, y1 - 1), center, turn_deg), paper)
    if word != UNREADABLE:
        canvas.text(center, word, min(17.0, (x1 - x0 - 8) / _ems(word)), (24, 24, 40), turn_deg)
        return
    rng = random.Random(salt)
    for _ in range(7):
        x, y, w = rng.uniform(x0 + 5, x1 - 24), rng.uniform(y0 + 4, y1 - 11), rng.uniform(10, 20)
        canvas.polygon(rotated_corners((x, y, x + w, y + 6), center, turn_deg), shade(paper, rng.uniform(0.5, 0.85)))


def _ems(word: str) -> float:
    return sum(0.62 if character.isascii() else 1.0 for character in word)
