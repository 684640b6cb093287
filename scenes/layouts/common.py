"""Shared by several layouts: walls, brands, labels and hanging fibres."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

from scenes.curves import BENT_VERTICES, LOOP_SIXTHS, bezier, loop_points
from scenes.defect_rates import DefectRates
from scenes.parts.backdrops import WALLS, paint_bricks, paint_wall
from scenes.parts.cables import FIBRE_COLORS, paint_fibre, paint_label
from scenes.stage import Stage, rotated_corners
from scenes.vocabulary import BASE_BRANDS, SHIFTED_BRANDS, UNREADABLE, WORDS, Brand, Sheath, fibre, label
from vqc.geometry import Point

LABEL_DEPTH, FIBRE_DEPTH = 40, 30
LABEL_WH = (66.0, 27.0)
PAPERS = ((250, 232, 120), (250, 232, 120), (244, 244, 240))


def add_wall(stage: Stage) -> None:
    """Adds the domain's wall behind everything."""
    if stage.domain == "shifted":
        stage.add_clutter(paint_bricks)
    else:
        stage.add_clutter(partial(paint_wall, color=stage.rng.choice(WALLS), salt=stage.rng.getrandbits(30)))


def pick_brand(stage: Stage) -> Brand:
    """A manufacturer of the domain; the shifted domain prefers its new one."""
    if stage.domain == "shifted":
        return stage.rng.choices(SHIFTED_BRANDS, (1, 1, 1, 3))[0]
    return stage.rng.choice(BASE_BRANDS)


def add_label(stage: Stage, center: Point, turn_deg: float, rates: DefectRates, tied_to: Point | None = None) -> bool:
    """Adds a paper label rotated about its centre, unless the place is occupied. Returns whether it was added."""
    rng, (w, h) = stage.rng, LABEL_WH
    box = (center[0] - w / 2, center[1] - h / 2, center[0] + w / 2, center[1] + h / 2)
    if stage.is_full or not stage.is_free(box, margin=5):
        return False
    word = UNREADABLE if rng.random() < rates.unreadable else rng.choice(WORDS)
    paint = partial(
        paint_label,
        box=box,
        turn_deg=turn_deg,
        word=word,
        paper=rng.choice(PAPERS),
        tied_to=tied_to,
        salt=rng.getrandbits(30),
    )
    added = stage.add_item(stage.quad_shape(rotated_corners(box, center, turn_deg)), label(word), paint, LABEL_DEPTH)
    if added:
        stage.occupied.append(box)
    return added


def add_fibre(stage: Stage, start: Point, side: int, rates: DefectRates, torn: bool = False) -> list[Point] | None:
    """Adds a fibre that falls from ``start`` to the photo's bottom, bending to one side. None if there is no room."""
    rng = stage.rng
    tight = rng.random() < rates.tight_bend
    sheath = Sheath.NONE if rng.random() < rates.unprotected else rng.choice((Sheath.CORRUGATED, Sheath.ARMOURED))
    for _ in range(0 if stage.is_full else 6):
        path, vertices = _loop_path(stage, start) if tight else _fall_path(stage, start, side)
        shape = None
        if stage.is_clear(path, distance=16):
            shape = stage.line_shape(path if vertices else _coarse(path), vertices)
        if shape is None:
            continue
        color = rng.choice(FIBRE_COLORS)
        paint = partial(paint_fibre, path=path, sheath=sheath, color=color, torn=torn)
        stage.add_item(shape, fibre(sheath, tight), paint, FIBRE_DEPTH)
        stage.paths.append(path)
        return path
    return None


def _fall_path(stage: Stage, start: Point, side: int) -> tuple[list[Point], int]:
    """A straight, bent or S-shaped fall, and its number of vertices."""
    rng, (x, y), foot = stage.rng, start, stage.camera.plane_wh[1] + 60
    drop = foot - y
    bend = rng.choice(("straight", "arc", "s"))
    if bend == "straight":
        return [start, (x + side * rng.uniform(0, 30), foot)], 2
    if bend == "arc":
        reach, low = side * rng.uniform(80, 170), y + drop * rng.uniform(0.5, 0.8)
        corner, end = (x + reach * 1.1, low), (x + side * 540, low + 50)
        return bezier(start, (x, y + (low - y) * 0.75), corner, end), BENT_VERTICES
    swing = side * rng.uniform(60, 100)
    out, back = (x + swing * 2.2, y + drop * 0.35), (x - swing * 1.4, y + drop * 0.65)
    return bezier(start, out, back, (x + swing * 0.5, foot)), BENT_VERTICES


def _loop_path(stage: Stage, start: Point) -> tuple[list[Point], None]:
    """A fall with a full loop."""
    rng, (x, y), foot = stage.rng, start, stage.camera.plane_wh[1] + 60
    end = (x + rng.uniform(-25, 25), foot)
    t = rng.uniform(0.3, 0.5)
    at = (x + (end[0] - x) * t, y + (foot - y) * t)
    heading = math.atan2(foot - y, end[0] - x)
    loop = loop_points(at, heading, rng.uniform(21, 27), rng.choice((-1, 1)), LOOP_SIXTHS * 4)
    return [start, *loop, end], None


def _coarse(path: Sequence[Point]) -> list[Point]:
    """The vertices of a looped path: its ends and the loop in sixths."""
    return [path[0], *path[1:-1:4], path[-1]]


def tie_label(stage: Stage, path: Sequence[Point], rates: DefectRates) -> None:
    """Adds a label on a string beside a cable, if there is room."""
    rng = stage.rng
    for _ in range(5):
        at = path[int(len(path) * rng.uniform(0.15, 0.75))] if len(path) > 4 else _between(path, rng.uniform(0.2, 0.6))
        side = rng.choice((-1, 1))
        center = (at[0] + side * rng.uniform(48, 60), at[1] + rng.uniform(-6, 24))
        if add_label(stage, center, rng.uniform(-24, 24), rates, tied_to=at):
            return


def _between(path: Sequence[Point], t: float) -> Point:
    (x0, y0), (x1, y1) = path[0], path[-1]
    return x0 + (x1 - x0) * t, y0 + (y1 - y0) * t
