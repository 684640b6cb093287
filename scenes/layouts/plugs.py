"""Close-ups of plugs, in the ports of a BBU and in an ODF panel, with hanging fibres."""

from __future__ import annotations

from functools import partial

from scenes.defect_rates import DefectRates, Hidden
from scenes.layouts.common import add_fibre, add_wall, pick_brand, tie_label
from scenes.layouts.rack import add_bbu, add_filler
from scenes.parts.backdrops import paint_odf, paint_rack
from scenes.parts.fixings import PLUG_H, PLUG_W, Plug, paint_plug
from scenes.stage import Stage
from scenes.vocabulary import FAULTS, Fixing, Need, fixing
from vqc.geometry import Point

PLUG_DEPTH = 35
ODF_COLORS = ((196, 200, 204), (168, 184, 204), (206, 202, 190))


def lay_ports(stage: Stage, rates: DefectRates, hidden: Hidden | None = None) -> None:
    """The lower edge of a BBU with plugs in its ports, and fibres that fall past the unit below."""
    rng, (width, _) = stage.rng, stage.camera.plane_wh
    if stage.camera.is_frontal:
        beyond = rng.uniform(20, 70)
        left, right = rng.choice(((-beyond, width - 40), (40, width + beyond), (44, width - 44)))
        top = rng.choice((-rng.uniform(14, 30), rng.uniform(8, 24)))
    else:
        left, right, top = width / 2 - 165, width / 2 + 165, rng.uniform(44, 56)
    add_wall(stage)
    stage.add_clutter(partial(paint_rack, left=left, right=right, paint=(90, 96, 104)), depth=1)
    box = (left, top, right, top + 76)
    add_bbu(stage, box, pick_brand(stage), Need.NONE, logo_right=left < 0)
    filler = (left, box[3] + 3, right, box[3] + 3 + rng.uniform(40, 50))
    spots = _spread(stage, max(left, 0) + 60, min(right, width) - 60)
    for x in spots:
        stage.occupied.append((x - 20, filler[1] - 30, x + 20, filler[3]))
    add_filler(stage, filler, rates)
    _hang(stage, [(x, box[3] - 15) for x in spots], Fixing.BBU_PLUG, rates, hidden)


def lay_odf(stage: Stage, rates: DefectRates, hidden: Hidden | None = None) -> None:
    """An ODF panel with plugs in some of its adapters."""
    rng, (width, _) = stage.rng, stage.camera.plane_wh
    inset = rng.uniform(8, 24) if stage.camera.is_frontal else 64
    top = rng.uniform(10, 40) if stage.camera.is_frontal else rng.uniform(44, 60)
    columns = rng.randint(6, 8)
    step = (width - 2 * inset - 40) / columns
    ports = [(inset + 20 + step * (k + 0.5), top + rows) for k in range(columns) for rows in (40, 98)]
    low = [port for port in ports if port[1] == top + 98]
    box = (inset, top, width - inset, top + 150)
    stage.add_clutter(partial(paint_odf, box=box, color=rng.choice(ODF_COLORS), ports=ports), depth=1)
    chosen = sorted(rng.sample(low, rng.choices((1, 2, 3), (0.3, 0.45, 0.25))[0]))
    _hang(stage, chosen, Fixing.ODF_PLUG, rates, hidden)


def _spread(stage: Stage, low: float, high: float) -> list[float]:
    """One to three plug positions, well apart."""
    rng = stage.rng
    count = rng.choices((1, 2, 3), (0.3, 0.4, 0.3))[0]
    room = (high - low) / count
    return [low + room * (k + rng.uniform(0.25, 0.75)) for k in range(count)]


def _hang(stage: Stage, ports: list[Point], kind: Fixing, rates: DefectRates, hidden: Hidden | None) -> None:
    """Adds plugs in the ports, a fibre from most of them, and labels on strings."""
    rng, side = stage.rng, stage.rng.choice((-1, 1))
    plugs = []
    for port in ports:
        fault = rng.choice(FAULTS[kind]) if rng.random() < rates.plug else None
        plug = Plug(port, kind, fault, rng.choice((-1, 1)) * rng.uniform(18, 28) if fault else 0.0)
        if add_plug(stage, plug):
            plugs.append(plug)
    bare = rng.randrange(len(plugs)) if len(plugs) > 1 and rng.random() < 0.3 and hidden is None else None
    for k, plug in enumerate(plugs if side < 0 else plugs[::-1]):  # the outermost bends away first
        if k == bare:
            continue
        path = add_fibre(stage, plug.tail, side, rates, torn=hidden is Hidden.TORN_FIBRE)
        if path and rng.random() < 0.55:
            tie_label(stage, path, rates)


def add_plug(stage: Stage, plug: Plug) -> bool:
    """Adds a plug with its label: a box if it hangs straight in a frontal photo, else a quad."""
    x, y = plug.port
    straight = plug.fault is None and stage.camera.is_frontal
    box = (x - PLUG_W / 2, y, x + PLUG_W / 2, y + PLUG_H)
    shape = stage.whole_unit_shape(box) if straight else stage.quad_shape(plug.corners)
    added = stage.add_item(shape, fixing(plug.kind, plug.fault), partial(paint_plug, plug=plug), PLUG_DEPTH)
    if added:
        stage.occupied.append((x - 16, y - 4, x + 16, y + PLUG_H - 8))
    return added
