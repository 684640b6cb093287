"""Painters of screws, ground lugs and plugs, and the circles and corners of their labels."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

from scenes.canvas import RGB, Canvas, shade
from scenes.stage import rotated_corners
from scenes.vocabulary import Fault, Fixing
from vqc.geometry import Point

LUG_RATIO = 1.35
"""Radius of a lug's ring relative to the bolt's."""

PLUG_W, PLUG_H = 20.0, 38.0
"""A plug's body, in units."""


@dataclass(frozen=True, slots=True)
class Screw:
    """A screw on the plane. A loose one stands out of its hole towards ``lean``; a hexagonal one has a ground lug."""

    center: Point
    radius: float
    fault: Fault | None
    lean: float
    """Direction in radians; also the rotation of the cross slot."""
    hexagonal: bool = False

    @property
    def head(self) -> Point:
        """Centre of the head."""
        if self.fault is not Fault.LOOSE:
            return self.center
        reach = self.radius * 1.15
        return self.center[0] + reach * math.cos(self.lean), self.center[1] + reach * math.sin(self.lean)

    @property
    def circles(self) -> list[tuple[Point, float]]:
        """The circles inside the label's box: the seat (for a bolt the lug's ring) and the head."""
        seat = self.radius * (LUG_RATIO if self.hexagonal else 1.0)
        return [(self.center, seat), (self.head, self.radius)]


def paint_screw(canvas: Canvas, screw: Screw, salt: int = 0) -> None:
    """The screw or bolt."""
    (x, y), r = screw.center, screw.radius
    if screw.hexagonal:
        canvas.disc((x, y), r * LUG_RATIO, (150, 150, 146))
        canvas.disc((x, y), r * LUG_RATIO * 0.9, (206, 204, 196))
    if screw.fault is Fault.LOOSE:
        _shank(canvas, screw)
    hx, hy = screw.head
    head: RGB = (146, 82, 40) if screw.fault is Fault.RUST else (214, 216, 220)
    canvas.disc((hx + r * 0.1, hy + r * 0.14), r, (44, 45, 48))
    canvas.disc((hx, hy), r * 0.93, shade(head, 0.72))
    canvas.disc((hx, hy), r * 0.8, head)
    if screw.hexagonal:
        edge = [(hx + r * 0.72 * math.cos(screw.lean + k), hy + r * 0.72 * math.sin(screw.lean + k)) for k in _SIXTHS]
        canvas.polygon(edge, shade(head, 0.8))
        canvas.disc((hx, hy), r * 0.42, shade(head, 1.12))
    else:
        for turn in (screw.lean, screw.lean + math.pi / 2):
            dx, dy = r * 0.6 * math.cos(turn), r * 0.6 * math.sin(turn)
            canvas.stroke(((hx - dx, hy - dy), (hx + dx, hy + dy)), r * 0.26, (40, 40, 44))
    if screw.fault is Fault.RUST:
        _rust(canvas, screw, salt)


_SIXTHS = tuple(math.tau * k / 6 for k in range(6))


def _shank(canvas: Canvas, screw: Screw) -> None:
    """The dark hole and the threaded shank between it and the head."""
    (x, y), (hx, hy), r = screw.center, screw.head, screw.radius
    canvas.disc((x, y), r * 0.85, (12, 12, 14))
    canvas.stroke(((x, y), (hx, hy)), r * 0.8, (170, 172, 176))
    nx, ny = -math.sin(screw.lean) * r * 0.4, math.cos(screw.lean) * r * 0.4
    for t in (0.05, 0.3, 0.55, 0.8):
        px, py = x + (hx - x) * t, y + (hy - y) * t
        canvas.stroke(((px - nx, py - ny), (px + nx, py + ny)), r * 0.13, (60, 60, 64))


def _rust(canvas: Canvas, screw: Screw, salt: int) -> None:
    (x, y), r, rng = screw.head, screw.radius, random.Random(salt)
    for color in ((104, 48, 18), (196, 112, 48), (92, 40, 16), (176, 92, 36), (120, 60, 24)):
        turn, reach = rng.uniform(0, math.tau), rng.uniform(0.2, 0.6) * r
        canvas.disc((x + reach * math.cos(turn), y + reach * math.sin(turn)), rng.uniform(0.16, 0.3) * r, color)


COPPER = (226, 122, 44)


def paint_lug(canvas: Canvas, center: Point, radius: float, turn_deg: float, exposed: bool) -> None:
    """A cable lug under a bolt, its barrel hanging down (rotated clockwise); exposed copper shows below the barrel."""
    x, y = center
    start = y + radius * 1.1

    def part(half: float, top: float, bottom: float, fill: RGB) -> None:
        canvas.polygon(rotated_corners((x - half, top, x + half, bottom), center, turn_deg), fill)

    part(radius * 0.62, start - 4, start + 12, (168, 166, 158))
    part(radius * 0.2, start - 4, start + 12, (220, 218, 210))
    if exposed:
        part(radius * 0.72, start + 11, start + 27, COPPER)
        for k in (-0.4, 0.0, 0.4):
            line = rotated_corners(
                (x + k * radius - 0.8, start + 11, x + k * radius + 0.8, start + 27), center, turn_deg
            )
            canvas.polygon(line, (140, 60, 16))


def lug_end(center: Point, radius: float, turn_deg: float, exposed: bool) -> Point:
    """Where the wire's insulation begins."""
    below = radius * 1.1 + (27 if exposed else 11)
    turn = math.radians(turn_deg)
    return center[0] - below * math.sin(turn), center[1] + below * math.cos(turn)


@dataclass(frozen=True, slots=True)
class Plug:
    """A plug that hangs from its port at ``port`` (top centre); a loose one is half out and rotated."""

    port: Point
    kind: Fixing
    fault: Fault | None
    turn_deg: float

    @property
    def drop(self) -> float:
        """How far the body hangs below the port."""
        return 9.0 if self.fault else 0.0

    @property
    def corners(self) -> list[Point]:
        """The label's corners: ferrule and body."""
        x, y = self.port
        return rotated_corners((x - PLUG_W / 2, y, x + PLUG_W / 2, y + self.drop + PLUG_H), self.port, self.turn_deg)

    @property
    def tail(self) -> Point:
        """Where the fibre leaves, inside the boot."""
        turn, reach = math.radians(self.turn_deg), self.drop + PLUG_H - 1
        return self.port[0] - reach * math.sin(turn), self.port[1] + reach * math.cos(turn)


PLUG_COLORS: dict[Fixing, tuple[RGB, RGB, RGB]] = {
    Fixing.BBU_PLUG: ((240, 242, 246), (40, 110, 214), (52, 96, 190)),
    Fixing.ODF_PLUG: ((36, 160, 84), (20, 110, 56), (240, 214, 70)),
    Fixing.RRU_PLUG: ((58, 60, 64), (190, 160, 70), (30, 30, 32)),
}
"""Body, latch and boot."""


def paint_plug(canvas: Canvas, plug: Plug) -> None:
    """The plug, with a bare ferrule above its body when it is half out."""
    body, latch, boot = PLUG_COLORS[plug.kind]
    x, y = plug.port

    def part(half: float, top: float, bottom: float, fill: RGB) -> None:
        canvas.polygon(rotated_corners((x - half, y + top, x + half, y + bottom), plug.port, plug.turn_deg), fill)

    if plug.fault:
        canvas.rect(x - 9, y - 8, x + 9, y + 3, (10, 10, 12))
        part(4.5, 0, plug.drop + 2, (222, 190, 110))
    top = plug.drop
    part(PLUG_W / 2, top, top + 25, shade(body, 0.55))
    part(PLUG_W / 2 - 1.5, top + 1.5, top + 24, body)
    part(4.5, top + 4, top + 18, latch)
    part(6.5, top + 25, top + PLUG_H, shade(boot, 0.7))
    part(5.0, top + 25, top + PLUG_H, boot)
