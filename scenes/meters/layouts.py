"""Layouts of the three views: a box from the front, the wires that enter it from below, and its meter."""

from __future__ import annotations

from functools import partial

from scenes.curves import BENT_VERTICES, bezier
from scenes.meters.parts import (
    SEAL_COLORS,
    SEAL_RADIUS,
    Door,
    gland_box,
    paint_body,
    paint_clips,
    paint_display,
    paint_door,
    paint_gland,
    paint_lead,
    paint_meter,
    paint_seal,
)
from scenes.meters.words import (
    LOST,
    FlawRates,
    HiddenFlaw,
    Reading,
    SealState,
    View,
    cover,
    display,
    gland,
    housing,
    seal,
    wire,
)
from scenes.parts.backdrops import WALLS, paint_bricks, paint_wall
from scenes.stage import Box, Painter, Stage
from vqc.geometry import Point, rectangle_corners

BODIES = ((206, 208, 206), (176, 186, 196), (198, 190, 168), (120, 138, 150))
METERS = ((232, 232, 226), (206, 214, 220), (196, 196, 190))
LEADS = ((120, 70, 40), (40, 90, 190), (44, 46, 50), (40, 150, 70))
BODY_DEPTH, DOOR_DEPTH, LEAD_DEPTH, CLIP_DEPTH, TOP_DEPTH = 10, 12, 20, 22, 30


def lay_front(stage: Stage, rates: FlawRates, hidden: HiddenFlaw | None) -> None:
    """A box on a wall with its cover, and the seal at its latch."""
    rng, (width, height) = stage.rng, stage.camera.plane_wh
    _wall(stage)
    closed = rng.random() >= rates.cover
    wide, tall = rng.uniform(170, 220), rng.uniform(220, 270)
    door_left = rng.random() < 0.5
    swing = 0.0 if closed else rng.uniform(64, 92)
    aside = swing * (0.5 if door_left else -0.5)
    x, y = width / 2 + aside + rng.uniform(-34, 34), height / 2 + rng.uniform(-24, 24)
    door = Door((x - wide / 2, y - tall / 2, x + wide / 2, y + tall / 2), door_left, swing)
    body, color = _with_margin(door.box, 12), rng.choice(BODIES)
    stage.add_clutter(partial(paint_body, box=body, color=color), BODY_DEPTH)
    paint = partial(paint_door, door=door, color=color, cracked=hidden is HiddenFlaw.CRACKED_COVER)
    if closed:
        _add_panel(stage, door.box, cover(True), paint, DOOR_DEPTH)
    else:
        added = stage.add_item(stage.quad_shape(door.corners), cover(False), paint, DOOR_DEPTH)
        stage.needs_frontal |= not added
    flaws = (SealState.BROKEN, SealState.ABSENT)
    # Nobody opens a cover without breaking its seal.
    state = rng.choice(flaws) if rng.random() < rates.seal or not closed else SealState.INTACT
    at = (body[2] - 6 if door_left else body[0] + 6, y + rng.uniform(-30, 30))
    lead = partial(paint_seal, at=at, state=state, color=rng.choice(SEAL_COLORS))
    added = stage.add_item(stage.disc_shape([(at, SEAL_RADIUS)]), seal(state), lead, TOP_DEPTH)
    stage.needs_frontal |= not added


def lay_entry(stage: Stage, rates: FlawRates, hidden: HiddenFlaw | None) -> None:
    """The lower edge of a box, with one to three wires that enter it through glands."""
    rng, (width, height) = stage.rng, stage.camera.plane_wh
    _wall(stage)
    edge = height * rng.uniform(0.24, 0.38)
    count, gap = rng.choices((1, 2, 3), (0.35, 0.4, 0.25))[0], rng.uniform(112, 134)
    first = width / 2 - gap * (count - 1) / 2 + rng.uniform(-30, 30)
    body = (first - 74, -260, first + gap * (count - 1) + 74, edge)
    stage.add_clutter(partial(paint_body, box=body, color=rng.choice(BODIES)), BODY_DEPTH)
    damaged = rng.randrange(count) if hidden is HiddenFlaw.DAMAGED_WIRE else None
    for k in range(count):
        at = (first + gap * k, edge)
        fitted = rng.random() >= rates.gland
        paint = partial(paint_gland, at=at, fitted=fitted)
        _add_panel(stage, gland_box(at), gland(fitted), paint, TOP_DEPTH)
        _add_lead(stage, (at[0], edge + 30), rates, damaged == k)


def lay_meter(stage: Stage, rates: FlawRates, hidden: HiddenFlaw | None) -> None:
    """A meter with its display."""
    rng, (width, height) = stage.rng, stage.camera.plane_wh
    _wall(stage)
    wide, tall = rng.uniform(210, 270), rng.uniform(240, 290)
    x, y = width / 2 + rng.uniform(-70, 70), height / 2 + rng.uniform(-18, 18)
    if not stage.camera.is_frontal:
        x = width / 2 + (x - width / 2) * 0.3
    box = (x - wide / 2, y - tall / 2, x + wide / 2, y + tall / 2)
    rusty = rng.random() < rates.rust
    paint = partial(
        paint_meter,
        box=box,
        color=rng.choice(METERS),
        rusty=rusty,
        dented=hidden is HiddenFlaw.DENTED_HOUSING,
        salt=rng.getrandbits(30),
    )
    _add_panel(stage, box, housing(rusty), paint, BODY_DEPTH)
    half, top, high = rng.uniform(0.3, 0.38) * wide, y - tall * rng.uniform(0.36, 0.4), rng.uniform(52, 66)
    reading = rng.choice(LOST) if rng.random() < rates.reading else Reading.CLEAR
    glass = (x - half, top, x + half, top + high)
    digits = f"{rng.randrange(100_000):05d}.{rng.randrange(10)}"
    show = partial(paint_display, box=glass, reading=reading, digits=digits)
    _add_panel(stage, glass, display(reading), show, TOP_DEPTH)


LAYOUTS = {View.FRONT: lay_front, View.ENTRY: lay_entry, View.METER: lay_meter}


def _wall(stage: Stage) -> None:
    if stage.rng.random() < 0.25:
        stage.add_clutter(paint_bricks)
    else:
        stage.add_clutter(partial(paint_wall, color=stage.rng.choice(WALLS), salt=stage.rng.getrandbits(30)))


def _add_panel(stage: Stage, box: Box, desc: str, paint: Painter, depth: int) -> None:
    """Adds a rectangle that must be completely visible: a box, or a quad in a tilted photo."""
    shape = stage.whole_unit_shape(box) if stage.camera.is_frontal else stage.quad_shape(rectangle_corners(box))
    stage.needs_frontal |= not stage.add_item(shape, desc, paint, depth)


def _add_lead(stage: Stage, start: Point, rates: FlawRates, damaged: bool) -> None:
    """Adds a wire to the photo's bottom: straight in its clips, or loose in a wide curve."""
    rng, (x, y), foot = stage.rng, start, stage.camera.plane_wh[1] + 70
    fastened, insulated = rng.random() >= rates.loose, rng.random() >= rates.bare
    path, vertices = [start, (x + rng.uniform(-8, 8), foot)], 2
    if not fastened:
        swing, drop = rng.choice((-1, 1)) * rng.uniform(70, 96), foot - y
        path = bezier(
            start, (x + swing * 1.6, y + drop * 0.3), (x - swing * 1.6, y + drop * 0.62), (x + swing * 0.3, foot)
        )
        vertices = BENT_VERTICES
    paint = partial(paint_lead, path=path, color=rng.choice(LEADS), bare=not insulated, damaged=damaged)
    added = stage.add_item(stage.line_shape(path, vertices), wire(fastened, insulated), paint, LEAD_DEPTH)
    stage.needs_frontal |= not added
    if fastened:
        stage.add_clutter(partial(paint_clips, path=path), CLIP_DEPTH)


def _with_margin(box: Box, by: float) -> Box:
    return box[0] - by, box[1] - by, box[2] + by, box[3] + by
