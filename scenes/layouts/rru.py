"""Remote radio units: one on its mast with brackets, cables and connectors, or a roof with their places."""

from __future__ import annotations

from functools import partial

from scenes.defect_rates import DefectRates, Hidden
from scenes.layouts.common import add_fibre, add_label, pick_brand, tie_label
from scenes.layouts.plugs import add_plug
from scenes.parts.backdrops import paint_roof, paint_sky
from scenes.parts.fixings import Plug, Screw, paint_screw
from scenes.parts.masts import paint_antenna, paint_bracket, paint_mast, paint_rru
from scenes.stage import Stage, rotated_corners
from scenes.vocabulary import FAULTS, Fixing, bracket, fixing, rru

SKIES = (((120, 170, 224), (206, 224, 240)), ((176, 184, 192), (214, 216, 216)), ((92, 140, 200), (190, 210, 226)))
DUSK = ((210, 130, 110), (244, 206, 160))
BRACKET_DEPTH, RRU_DEPTH, SCREW_DEPTH = 12, 10, 20


def lay_rru(stage: Stage, rates: DefectRates, hidden: Hidden | None = None) -> None:
    """A unit on a mast under the sky: one or two brackets with screws, and one to three cables below it."""
    rng, width = stage.rng, stage.camera.plane_wh[0]
    _add_sky(stage)
    wide, tall = rng.uniform(150, 180), rng.uniform(140, 164)
    x = width / 2 + rng.uniform(-90, 90) * (1 if stage.camera.is_frontal else 0.3)
    if stage.camera.is_frontal and rng.random() < 0.2:
        x = rng.choice((rng.uniform(20, 45), width - rng.uniform(20, 45)))
    top = rng.uniform(60, 76)
    stage.add_clutter(partial(paint_mast, x=x, half=rng.uniform(15, 20)), depth=1)
    box = (x - wide / 2, top, x + wide / 2, top + tall)
    brand = pick_brand(stage)
    paint = partial(paint_rru, box=box, brand=brand, cracked=hidden is Hidden.CRACKED_RRU)
    stage.add_unit(box, lambda whole: rru(brand, whole), paint, RRU_DEPTH)
    _bracket(stage, x, top - 20, rates)
    side = rng.choice((-1, 1))
    count = rng.choices((1, 2, 3), (0.25, 0.45, 0.3))[0]
    for k in range(count):
        port = (x + (k - (count - 1) / 2) * 56, box[3] - 3)
        fault = rng.choice(FAULTS[Fixing.RRU_PLUG]) if rng.random() < rates.plug else None
        plug = Plug(port, Fixing.RRU_PLUG, fault, rng.choice((-1, 1)) * rng.uniform(18, 28) if fault else 0.0)
        if add_plug(stage, plug):
            path = add_fibre(stage, plug.tail, side, rates, torn=hidden is Hidden.TORN_FIBRE)
            if path and rng.random() < 0.6:
                tie_label(stage, path, rates)


def lay_site(stage: Stage, rates: DefectRates, hidden: Hidden | None = None) -> None:
    """A roof with one or two masts: each unit hangs right below its antenna or, misplaced, far down at the roof."""
    rng, (width, height) = stage.rng, stage.camera.plane_wh
    _add_sky(stage)
    roof = height * rng.uniform(0.88, 0.92)
    stage.add_clutter(partial(paint_roof, y=roof), depth=1)
    count = rng.choices((1, 2), (0.55, 0.45))[0]
    cracked = rng.randrange(count) if hidden is Hidden.CRACKED_RRU else None
    for k in range(count):
        x = width * (k + 0.5) / count + rng.uniform(-36, 36)
        top, tall = rng.uniform(24, 36), rng.uniform(92, 108)
        stage.add_clutter(partial(paint_mast, x=x, half=rng.uniform(7, 9)), depth=2)
        stage.add_clutter(partial(paint_antenna, box=(x - 19, top, x + 19, top + tall)), depth=3)
        wide, high = rng.uniform(104, 120), rng.uniform(96, 104)
        placed = rng.random() >= rates.misplaced
        y = top + tall + rng.uniform(8, 18) if placed else roof - high - rng.uniform(2, 8)
        box = (x - wide / 2, y, x + wide / 2, y + high)
        _add_site_unit(stage, box, placed, rates, cracked=k == cracked)


def _add_site_unit(
    stage: Stage, box: tuple[float, float, float, float], placed: bool, rates: DefectRates, *, cracked: bool
) -> None:
    brand = pick_brand(stage)
    paint = partial(paint_rru, box=box, brand=brand, cracked=cracked)
    stage.add_unit(box, lambda whole: rru(brand, whole, placed), paint, RRU_DEPTH)
    stage.occupied.append(box)
    if stage.rng.random() < 0.3:
        side = stage.rng.choice((-1, 1))
        center = ((box[0] + box[2]) / 2 + side * stage.rng.uniform(100, 112), stage.rng.uniform(box[1], box[3]))
        add_label(stage, center, stage.rng.uniform(-8, 8), rates)


def _add_sky(stage: Stage) -> None:
    rng, width = stage.rng, stage.camera.plane_wh[0]
    sky = DUSK if stage.domain == "shifted" else rng.choice(SKIES)
    roofs = [(rng.uniform(-40, width), rng.uniform(50, 120), rng.uniform(20, 70)) for _ in range(5)]
    stage.add_clutter(partial(paint_sky, top=sky[0], bottom=sky[1], skyline=roofs))


def _bracket(stage: Stage, x: float, y: float, rates: DefectRates) -> None:
    """Adds the bracket above the unit, level or clearly tilted, with a screw near each end."""
    rng = stage.rng
    tilted = rng.random() < rates.bracket
    turn = rng.choice((-1, 1)) * rng.uniform(13, 18) if tilted else 0.0
    box, center = (x - 72, y - 15, x + 72, y + 15), (x, y)
    corners = rotated_corners(box, center, turn)
    shape = stage.quad_shape(corners) if tilted or not stage.camera.is_frontal else stage.whole_unit_shape(box)
    if not stage.add_item(shape, bracket(not tilted), partial(paint_bracket, box=box, turn_deg=turn), BRACKET_DEPTH):
        return
    for end in (-1, 1):
        spot = rotated_corners((x + end * 50, y, x + end * 50, y), center, turn)[0]
        fault = rng.choice(FAULTS[Fixing.RRU_SCREW]) if rng.random() < rates.rru_screw else None
        screw = Screw(spot, 10.5, fault, rng.uniform(3.6, 5.8))
        paint = partial(paint_screw, screw=screw, salt=rng.getrandbits(30))
        stage.add_item(stage.disc_shape(screw.circles), fixing(Fixing.RRU_SCREW, fault), paint, SCREW_DEPTH)
