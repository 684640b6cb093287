"""Racks with BBUs, wind shields and mounting screws."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

from scenes.canvas import Canvas
from scenes.defect_rates import DefectRates, Hidden
from scenes.layouts.common import add_fibre, add_label, add_wall, pick_brand, tie_label
from scenes.parts.backdrops import paint_rack
from scenes.parts.fillers import paint_alarm_box, paint_filler, paint_gap
from scenes.parts.fixings import Screw, paint_screw
from scenes.parts.units import EAR, paint_bbu, paint_shield, plate_of
from scenes.stage import Box, Stage
from scenes.vocabulary import FAULTS, Brand, Fixing, Need, alarm_box, bbu, fixing, needs_of, shield
from vqc.geometry import Point

SCREW_RADIUS = 10.5
UNIT_DEPTH, SCREW_DEPTH = 10, 20
RACK_PAINTS = ((96, 102, 110), (70, 74, 80), (150, 154, 158))


@dataclass(frozen=True, slots=True)
class RackFrame:
    """The position of the rack: its units' left and right edge and the first one's top, in plane units."""

    left: float
    right: float
    top: float
    bottom: float


def lay_rack(stage: Stage, rates: DefectRates, hidden: Hidden | None = None) -> None:
    """A rack of one to three BBUs, each with what its shield need requires, and screws in the ears."""
    rng = stage.rng
    frame = _frame(stage, cuttable=hidden is None)
    add_wall(stage)
    stage.add_clutter(partial(paint_rack, left=frame.left, right=frame.right, paint=rng.choice(RACK_PAINTS)), depth=1)
    count = rng.choices((1, 2, 3), (0.2, 0.5, 0.3))[0]
    logo_right = frame.left < 0 or (rng.random() < 0.3 and frame.right <= stage.camera.plane_wh[0])
    y = frame.top
    for k in range(count):
        height = rng.uniform(62, 74)
        if y + height + 48 > frame.bottom:
            break
        box = (frame.left, y, frame.right, y + height)
        need = _need(stage, pick_brand(stage), rates, force_shield=hidden is Hidden.BROKEN_SHIELD)
        add_bbu(stage, box, *need, logo_right=logo_right, upside_down=hidden is Hidden.UPSIDE_DOWN and k == 0)
        add_screws(stage, box, rates, pairs=1 if count == 3 else rng.choice((1, 2)))
        y = box[3] + _below(stage, box, need, rates, logo_right, hidden, last=k == count - 1)
    _rest(stage, frame, y, rates)


def add_bbu(stage: Stage, box: Box, brand: Brand, need: Need, *, logo_right: bool, upside_down: bool = False) -> None:
    """Adds a BBU with its label; upside down, its plate is at the other end."""
    logo_right = logo_right != upside_down
    paint = partial(
        paint_bbu, box=box, brand=brand, logo_right=logo_right, upside_down=upside_down, salt=stage.rng.getrandbits(30)
    )
    stage.add_unit(box, lambda whole: bbu(brand, whole, need), paint, UNIT_DEPTH)
    stage.occupied.append(plate_of(box, logo_right))


def add_screws(stage: Stage, box: Box, rates: DefectRates, pairs: int) -> None:
    """Adds one or two mounting screws to each ear of a unit; some holes stay empty."""
    rng, (x0, y0, x1, y1) = stage.rng, box
    rows = ((y0 + y1) / 2,) if pairs == 1 else (y0 + (y1 - y0) * 0.25, y0 + (y1 - y0) * 0.75)
    for x, outward in ((x0 + EAR / 2, math.pi), (x1 - EAR / 2, 0.0)):
        for y in rows:
            if rng.random() < 0.1:
                stage.add_clutter(partial(_paint_hole, center=(x, y)), SCREW_DEPTH)
                continue
            fault = rng.choice(FAULTS[Fixing.BBU_SCREW]) if rng.random() < rates.bbu_screw else None
            lean = outward + rng.uniform(-0.6, 0.6) if fault else rng.uniform(0, math.pi / 2)
            screw = Screw((x, y), SCREW_RADIUS, fault, lean)
            paint = partial(paint_screw, screw=screw, salt=rng.getrandbits(30))
            stage.add_item(stage.disc_shape(screw.circles), fixing(Fixing.BBU_SCREW, fault), paint, SCREW_DEPTH)
            stage.occupied.append((x - 18, y - 14, x + 18, y + 14))


def _paint_hole(canvas: Canvas, center: Point) -> None:
    canvas.disc(center, 5.5, (26, 27, 30))


def _frame(stage: Stage, cuttable: bool) -> RackFrame:
    """The position of the rack; some frontal photos cut it at the left, the right or the top."""
    rng, (width, height) = stage.rng, stage.camera.plane_wh
    if not stage.camera.is_frontal:
        span = rng.uniform(320, 350)
        left = (width - span) / 2 + rng.uniform(-12, 12)
        return RackFrame(left, left + span, rng.uniform(40, 60), height - 30)
    span = rng.uniform(370, 430)
    left, top = rng.uniform(34, max(36.0, width - span - 34)), rng.uniform(8, 30)
    cut = rng.choices(("", "left", "right", "top"), (0.6, 0.13, 0.13, 0.14))[0] if cuttable else ""
    if cut == "left":
        left = -rng.uniform(60, 130)
    elif cut == "right":
        left = width - span + rng.uniform(60, 130)
    elif cut == "top":
        top = -rng.uniform(16, 28)
    return RackFrame(left, left + span, top, height - 4)


def _need(stage: Stage, brand: Brand, rates: DefectRates, force_shield: bool) -> tuple[Brand, Need]:
    rng = stage.rng
    if force_shield:
        return (Brand.HUAWEI if brand is Brand.ERICSSON else brand), Need.MET
    if len(needs_of(brand)) == 1 or rng.random() < 0.3:
        return brand, Need.NONE
    return brand, Need.MISSING if rng.random() < rates.shield_missing else Need.MET


def _below(
    stage: Stage,
    box: Box,
    need: tuple[Brand, Need],
    rates: DefectRates,
    logo_right: bool,
    hidden: Hidden | None,
    last: bool,
) -> float:
    """Fills the space under a BBU according to its need; returns the height used, including the seam to the next unit."""
    rng, (x0, _, x1, y1) = stage.rng, box
    brand, kind = need
    if kind is Need.NONE and not last and rng.random() < 0.5:
        return 3
    height = rng.uniform(36, 44)
    slot = (x0, y1 + 3, x1, y1 + 3 + height)
    if kind is Need.NONE:
        add_filler(stage, slot, rates)
    elif kind is Need.MISSING:
        stage.add_clutter(partial(paint_gap, box=(x0, y1, x1, slot[3])), UNIT_DEPTH)
    else:
        right = rng.random() >= rates.shield_wrong
        paint = partial(
            paint_shield,
            box=slot,
            brand=brand,
            logo_right=logo_right,
            right=right,
            broken=hidden is Hidden.BROKEN_SHIELD,
        )
        stage.add_unit(slot, lambda whole: shield(brand, whole, right), paint, UNIT_DEPTH)
        stage.occupied.append(plate_of(slot, logo_right))
    return height + 6


def add_filler(stage: Stage, box: Box, rates: DefectRates) -> None:
    """Adds other equipment, sometimes with a label; in the shifted domain it may contain an alarm box."""
    rng = stage.rng
    stage.add_clutter(partial(paint_filler, box=box, salt=rng.getrandbits(30)), UNIT_DEPTH - 1)
    middle = ((box[0] + box[2]) / 2 + rng.uniform(-20, 20), (box[1] + box[3]) / 2)
    if stage.domain == "shifted" and rng.random() < 0.6:
        alarm = (middle[0] - 66, box[1] + 2, middle[0] + 66, box[3] - 2)
        stage.add_item(stage.whole_unit_shape(alarm), alarm_box(), partial(paint_alarm_box, box=alarm), UNIT_DEPTH + 1)
    elif rng.random() < 0.4:
        add_label(stage, middle, rng.uniform(-7, 7), rates)


def _rest(stage: Stage, frame: RackFrame, y: float, rates: DefectRates) -> None:
    """Adds other equipment in some of the free space at the bottom of the rack, and sometimes a fibre across the units."""
    rng, (width, height) = stage.rng, stage.camera.plane_wh
    y += rng.uniform(14, 40)
    while height - y > 56 and rng.random() < 0.75:
        tall = rng.uniform(38, 50)
        add_filler(stage, (frame.left, y, frame.right, y + tall), rates)
        y += tall + rng.choice((2, 2, 30))
    if stage.camera.is_frontal and rng.random() < 0.25:
        x = rng.uniform(max(frame.left, 0) + 150, min(frame.right, width) - 130)
        path = add_fibre(stage, (x, 0), rng.choice((-1, 1)), rates)
        if path and rng.random() < 0.5:
            tie_label(stage, path, rates)
