"""Ground points: bolts on a cabinet side or on a copper bar, with tidy or scattered wires."""

from __future__ import annotations

import math
from functools import partial

from scenes.curves import BENT_VERTICES, bezier
from scenes.defect_rates import DefectRates, Hidden
from scenes.layouts.common import add_wall, tie_label
from scenes.parts.backdrops import paint_bar, paint_cabinet_panel, paint_ground_mark
from scenes.parts.cables import WIRE_COLORS, paint_ties, paint_wire
from scenes.parts.fixings import Screw, lug_end, paint_lug, paint_screw
from scenes.stage import Stage
from scenes.vocabulary import FAULTS, Fault, Fixing, fixing, wire
from vqc.geometry import Point

BOLT_RADIUS = 12.0
LUG_DEPTH, BOLT_DEPTH, WIRE_DEPTH = 24, 26, 22
PANELS = ((120, 136, 150), (150, 152, 150), (96, 108, 112))
BAR_WALLS = ((176, 180, 184), (160, 168, 176), (188, 186, 178))


def lay_ground_cabinet(stage: Stage, rates: DefectRates, hidden: Hidden | None = None) -> None:
    """The side of a cabinet with its ground bolts."""
    rng, height = stage.rng, stage.camera.plane_wh[1]
    color = (196, 150, 120) if stage.domain == "shifted" else rng.choice(PANELS)
    stage.add_clutter(partial(paint_cabinet_panel, color=color, seam=rng.uniform(16, 34)))
    bolts = _bolt_positions(stage, rng.uniform(0.2, 0.34) * height)
    for x, y in bolts:
        stage.add_clutter(partial(paint_ground_mark, x=x, y=y - 42), depth=2)
        stage.occupied.append((x - 24, y - 58, x + 24, y + 22))
    _add_bolts(stage, bolts, Fixing.CABINET_GROUND, rates, hidden)


def lay_ground_bar(stage: Stage, rates: DefectRates, hidden: Hidden | None = None) -> None:
    """A copper ground bar on a wall."""
    rng, height = stage.rng, stage.camera.plane_wh[1]
    add_wall(stage)
    y = rng.uniform(0.2, 0.34) * height
    bolts = _bolt_positions(stage, y)
    low, high = bolts[0][0] - rng.uniform(44, 64), bolts[-1][0] + rng.uniform(44, 64)
    stage.add_clutter(partial(paint_bar, box=(low, y - 21, high, y + 21), holes=[low + 16, high - 16]), depth=1)
    stage.occupied.append((low - 16, y - 28, high + 16, y + 28))
    _add_bolts(stage, bolts, Fixing.BAR_GROUND, rates, hidden)


def _bolt_positions(stage: Stage, y: float) -> list[Point]:
    rng, (width, _) = stage.rng, stage.camera.plane_wh
    count = rng.choices((1, 2, 3), (0.25, 0.45, 0.3))[0]
    step = rng.uniform(84, 108)
    low, high = 86.0, width - 86 - step * (count - 1)
    first = rng.uniform(low, high)
    return [(first + step * k, y) for k in range(count)]


def _add_bolts(stage: Stage, bolts: list[Point], kind: Fixing, rates: DefectRates, hidden: Hidden | None) -> None:
    """Adds a bolt with a lug and a wire at each point; a doubled bolt has two lugs."""
    rng = stage.rng
    tidy = rng.random() >= rates.messy
    swing = rng.choice((-1, 1))
    ends: list[Point] = []
    for k, center in enumerate(bolts):
        fault = rng.choice(FAULTS[kind]) if rng.random() < rates.ground_screw else None
        turns = (-26.0, 26.0) if fault is Fault.DOUBLE else (0.0,)
        for turn in turns:
            lug = partial(paint_lug, center=center, radius=BOLT_RADIUS, turn_deg=turn, exposed=fault is Fault.COPPER)
            stage.add_clutter(lug, LUG_DEPTH)
            start = lug_end(center, BOLT_RADIUS, turn, fault is Fault.COPPER)
            side = (-1 if turn > 0 else 1) if turn else (swing if k % 2 == 0 else -swing)
            ends.append(_add_wire(stage, start, tidy, side, turn, hidden))
        lean = rng.uniform(math.pi + 0.5, math.tau - 0.5)
        screw = Screw(center, BOLT_RADIUS, fault, lean, hexagonal=True)
        paint = partial(paint_screw, screw=screw, salt=rng.getrandbits(30))
        stage.add_item(stage.disc_shape(screw.circles), fixing(kind, fault), paint, BOLT_DEPTH)
    if tidy:
        y = stage.camera.plane_wh[1] * rng.uniform(0.68, 0.8)
        stage.add_clutter(partial(paint_ties, x0=min(ends)[0] - 14, x1=max(ends)[0] + 14, y=y), WIRE_DEPTH + 1)
        stage.occupied.append((min(ends)[0] - 14, y - 8, max(ends)[0] + 14, y + 8))
    for path in list(stage.paths):
        if rng.random() < 0.3:
            tie_label(stage, path, rates)


def _add_wire(stage: Stage, start: Point, tidy: bool, swing: int, turn_deg: float, hidden: Hidden | None) -> Point:
    """Adds a wire to the photo's bottom, straight and tidy or in a wide S. Returns its end on the plane."""
    rng, (x, y), foot = stage.rng, start, stage.camera.plane_wh[1] + 70
    if tidy:
        bottom = (x - turn_deg * 0.5, foot)
        path, vertices = [start, bottom], 2
    else:
        reach = swing * rng.uniform(70, 110)
        low = (x + reach * 2.2, y + (foot - y) * 0.4)
        bottom = (x + reach * rng.uniform(0.2, 0.8), foot)
        path, vertices = bezier(start, low, (x - reach * 1.8, y + (foot - y) * 0.6), bottom), BENT_VERTICES
    paint = partial(
        paint_wire, path=path, color=rng.choice(WIRE_COLORS), cut=hidden is Hidden.CUT_WIRE and not stage.paths
    )
    stage.add_item(stage.line_shape(path, vertices), wire(tidy), paint, WIRE_DEPTH)
    stage.paths.append(path)
    return bottom
