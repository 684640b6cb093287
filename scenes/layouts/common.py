"""What several layouts share: walls, brands, labels and hanging fibres."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

from scenes.curves import BENT_VERTICES, LOOP_SIXTHS, bezier, loop_points
from scenes.odds import Odds
from scenes.parts.backdrops import WALLS, paint_bricks, paint_wall
from scenes.parts.cables import FIBRE_COLORS, paint_fibre, paint_label
from scenes.stage import Stage, turned
from scenes.vocabulary import BASE_BRANDS, SHIFTED_BRANDS, UNREADABLE, WORDS, Brand, Sheath, fibre, label
from vqc.geometry import Point

LABEL_DEPTH, FIBRE_DEPTH = 40, 30
LABEL_WH = (66.0, 27.0)
PAPERS = ((250, 232, 120), (250, 232, 120), (244, 244, 240))


def add_wall(stage: Stage) -> None:
    """The domain's wall behind everything."""
    if stage.domain == "shifted":
        stage.clutter(paint_bricks)
    else:
        stage.clutter(partial(paint_wall, color=stage.rng.choice(WALLS), salt=stage.rng.getrandbits(30)))


def pick_brand(stage: Stage) -> Brand:
    """A maker that the domain knows; the shifted one shows its new maker often."""
    if stage.domain == "shifted":
        return stage.rng.choices(SHIFTED_BRANDS, (1, 1, 1, 3))[0]
    return stage.rng.choice(BASE_BRANDS)


def add_label(stage: Stage, center: Point, turn_deg: float, odds: Odds, tied_to: Point | None = None) -> bool:
    """A paper label turned about its centre. Left out where something else is; says whether it was added."""
    rng, (w, h) = stage.rng, LABEL_WH
    box = (center[0] - w / 2, center[1] - h / 2, center[0] + w / 2, center[1] + h / 2)
    if stage.full or not stage.free(box, margin=5):
        return False
    word = UNREADABLE if rng.random() < odds.unreadable else rng.choice(WORDS)
    paint = partial(
        paint_label,
        box=box,
        turn_deg=turn_deg,
        word=word,
        paper=rng.choice(PAPERS),
        tied_to=tied_to,
        salt=rng.getrandbits(30),
    )
    added = stage.item(stage.quad_shape(turned(box, center, turn_deg)), label(word), paint, LABEL_DEPTH)
    if added:
        stage.taken.append(box)
    return added


def add_fibre(stage: Stage, start: Point, side: int, odds: Odds, torn: bool = False) -> list[Point] | None:
    """A fibre that falls from ``start`` to the photo's foot, bending to a side. None where there is no room."""
    rng = stage.rng
    tight = rng.random() < odds.tight_bend
    sheath = Sheath.NONE if rng.random() < odds.unprotected else rng.choice((Sheath.CORRUGATED, Sheath.ARMOURED))
    for _ in range(0 if stage.full else 6):
        path, vertices = _looped(stage, start) if tight else _falling(stage, start, side)
        shape = None
        if stage.clear(path, distance=16):
            shape = stage.line_shape(path if vertices else _coarse(path), vertices)
        if shape is None:
            continue
        color = rng.choice(FIBRE_COLORS)
        paint = partial(paint_fibre, path=path, sheath=sheath, color=color, torn=torn)
        stage.item(shape, fibre(sheath, tight), paint, FIBRE_DEPTH)
        stage.paths.append(path)
        return path
    return None


def _falling(stage: Stage, start: Point, side: int) -> tuple[list[Point], int]:
    """A straight, bent or S-shaped fall and its number of vertices."""
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


def _looped(stage: Stage, start: Point) -> tuple[list[Point], None]:
    """A fall with a full turn on its way."""
    rng, (x, y), foot = stage.rng, start, stage.camera.plane_wh[1] + 60
    end = (x + rng.uniform(-25, 25), foot)
    t = rng.uniform(0.3, 0.5)
    at = (x + (end[0] - x) * t, y + (foot - y) * t)
    heading = math.atan2(foot - y, end[0] - x)
    loop = loop_points(at, heading, rng.uniform(21, 27), rng.choice((-1, 1)), LOOP_SIXTHS * 4)
    return [start, *loop, end], None


def _coarse(path: Sequence[Point]) -> list[Point]:
    """A looped path's own vertices: its ends and the loop in sixths."""
    return [path[0], *path[1:-1:4], path[-1]]


def tie_label(stage: Stage, path: Sequence[Point], odds: Odds) -> None:
    """A label on a string beside a cable, where there is room."""
    rng = stage.rng
    for _ in range(5):
        at = path[int(len(path) * rng.uniform(0.15, 0.75))] if len(path) > 4 else _between(path, rng.uniform(0.2, 0.6))
        side = rng.choice((-1, 1))
        center = (at[0] + side * rng.uniform(48, 60), at[1] + rng.uniform(-6, 24))
        if add_label(stage, center, rng.uniform(-24, 24), odds, tied_to=at):
            return


def _between(path: Sequence[Point], t: float) -> Point:
    (x0, y0), (x1, y1) = path[0], path[-1]
    return x0 + (x1 - x0) * t, y0 + (y1 - y0) * t
