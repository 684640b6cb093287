"""Painters of units with a manufacturer's plate: BBU and wind shield."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

from scenes.canvas import RGB, Canvas, shade
from scenes.stage import Box
from scenes.vocabulary import Brand

EAR = 28
"""Width of a unit's mounting ears in units; its screws are in their middle."""

PLATE = 96
"""Width of the manufacturer's plate, beside the left or the right ear."""


def plate_of(box: Box, logo_right: bool) -> Box:
    """The plate of a unit, which must stay visible."""
    left = box[2] - EAR - 4 - PLATE if logo_right else box[0] + EAR + 4
    return left, box[1], left + PLATE, box[3]


@dataclass(frozen=True, slots=True)
class UnitLook:
    """The appearance of a manufacturer's units."""

    face: RGB
    board: RGB
    ink: RGB
    accent: RGB
    text: str


LOOKS = {
    Brand.HUAWEI: UnitLook((208, 209, 208), (178, 180, 182), (40, 40, 44), (206, 30, 44), "HUAWEI"),
    Brand.ZTE: UnitLook((196, 214, 236), (150, 178, 214), (10, 70, 160), (10, 84, 190), "ZTE"),
    Brand.ERICSSON: UnitLook((70, 72, 76), (50, 52, 56), (240, 240, 240), (240, 240, 240), "ERICSSON"),
    Brand.NOKIA: UnitLook((26, 62, 150), (18, 44, 112), (245, 248, 255), (120, 200, 255), "NOKIA"),
}


def paint_bbu(
    canvas: Canvas, box: Box, brand: Brand, logo_right: bool, upside_down: bool = False, salt: int = 0
) -> None:
    """A BBU: ears, fan, boards with ports and the manufacturer's plate; upside down it is rotated by half a turn."""
    look, rng = LOOKS[brand], random.Random(salt)
    x0, y0, x1, y1 = box
    canvas.rect(x0 + 2, y1 - 1, x1 + 4, y1 + 5, (22, 23, 26))
    canvas.gradient(x0, y0, x1, y1, (shade(look.face, 1.08), shade(look.face, 0.88)))
    for left in (x0, x1 - EAR):
        canvas.gradient(left, y0, left + EAR, y1, ((176, 179, 184), (142, 145, 150)), steps=3)
        canvas.frame(left, y0, left + EAR, y1, 1, (104, 106, 110))
    left, right = x0 + EAR + 4, x1 - EAR - 4
    plate = plate_of(box, logo_right)
    boards = (left, plate[0] - 4) if logo_right else (plate[2] + 4, right)
    _boards(canvas, (boards[0], y0 + 5, boards[1], y1 - 5), look, rng, upside_down)
    _plate(canvas, (plate[0], y0 + 5, plate[2], y1 - 5), brand, upside_down)
    canvas.frame(x0, y0, x1, y1, 1.5, shade(look.face, 0.55))


def _boards(canvas: Canvas, box: Box, look: UnitLook, rng: random.Random, upside_down: bool) -> None:
    x0, y0, x1, y1 = box
    fan = 44
    vent, first = (x1 - fan, x0) if upside_down else (x0, x0 + fan + 4)
    canvas.rect(vent, y0, vent + fan, y1, shade(look.board, 0.7))
    for k in range(6):
        x = vent + 5 + k * (fan - 8) / 5
        canvas.rect(x, y0 + 5, x + 3, y1 - 5, (28, 29, 32))
    middle = (y0 + y1) / 2
    columns = max(2, int((x1 - x0 - fan) // 70))
    step = (x1 - x0 - fan - 4) / columns
    for column in range(columns):
        for top, bottom in ((y0, middle - 1), (middle + 1, y1)):
            left = first + column * step
            canvas.rect(left, top, left + step - 3, bottom, shade(look.board, rng.uniform(0.92, 1.1)))
            if step < 30:
                continue
            port = bottom - 12 if not upside_down else top + 3
            for k in range(int((step - 16) // 15)):
                canvas.rect(left + 5 + k * 15, port, left + 16 + k * 15, port + 9, (24, 25, 28))
            led = (70, 230, 90) if rng.random() < 0.8 else (240, 190, 60)
            light = top + 3 if not upside_down else bottom - 6
            canvas.rect(left + step - 11, light, left + step - 7, light + 3.5, led)


def _plate(canvas: Canvas, box: Box, brand: Brand, upside_down: bool) -> None:
    look = LOOKS[brand]
    x0, y0, x1, y1 = box
    canvas.rect(x0, y0, x1, y1, shade(look.face, 0.94))
    canvas.frame(x0, y0, x1, y1, 1, shade(look.face, 0.7))
    middle = (y0 + y1) / 2
    size = min(17.0, (y1 - y0) * 0.34)
    sign = -1 if upside_down else 1
    logo(canvas, ((x0 + x1) / 2, middle - sign * size * 0.72), size * 0.62, brand, sign)
    canvas.text(((x0 + x1) / 2, middle + sign * size * 0.72), look.text, size, look.ink, 180 if upside_down else 0)


def logo(canvas: Canvas, center: tuple[float, float], radius: float, brand: Brand, sign: int = 1) -> None:
    """The manufacturer's logo: petals, a bar pair, three slanted strokes or a ring."""
    x, y = center
    accent = LOOKS[brand].accent
    if brand is Brand.HUAWEI:
        for k in range(7):
            turn = math.pi * k / 6
            tip = (x - 1.25 * radius * math.cos(turn), y + sign * (radius * 0.6 - 1.5 * radius * math.sin(turn)))
            canvas.stroke(((x, y + sign * radius * 0.6), tip), radius * 0.34, accent)
    elif brand is Brand.ERICSSON:
        for k in (-1, 0, 1):
            offset = k * radius * 0.8 * sign
            canvas.stroke(
                ((x - radius, y + offset + radius * 0.35), (x + radius, y + offset - radius * 0.35)), 2.6, accent
            )
    elif brand is Brand.ZTE:
        for left, top, right, bottom, color in (
            (-2.0, -0.8, 2.0, -0.1, accent),
            (-2.0, 0.25, 0.6, 0.9, (90, 170, 240)),
        ):
            (x0, x1), (y0, y1) = sorted((left * sign, right * sign)), sorted((top * sign, bottom * sign))
            canvas.rect(x + x0 * radius, y + y0 * radius, x + x1 * radius, y + y1 * radius, color)
    else:
        canvas.disc(center, radius, accent)
        canvas.disc(center, radius * 0.55, LOOKS[brand].face)


SHIELD_FACE = {Brand.HUAWEI: (198, 190, 170), Brand.ZTE: (150, 190, 226), Brand.NOKIA: (70, 104, 190)}


def paint_shield(canvas: Canvas, box: Box, brand: Brand, logo_right: bool, right: bool, broken: bool = False) -> None:
    """A wind shield: slats lean right with an upward arrow; mounted wrongly, they lean left with a downward arrow."""
    face = SHIELD_FACE[brand]
    x0, y0, x1, y1 = box
    canvas.rect(x0 + 2, y1 - 1, x1 + 3, y1 + 4, (22, 23, 26))
    canvas.gradient(x0, y0, x1, y1, (shade(face, 1.1), shade(face, 0.86)), steps=4)
    plate_x = plate_of(box, logo_right)[0]
    lean = (y1 - y0 - 14) * (0.8 if right else -0.8)
    start, end = (x0 + 16, plate_x - 6) if logo_right else (plate_x + 84, x1 - 16)
    top, bottom = y0 + 7, y1 - 7
    x = start + max(0.0, -lean)
    while x + max(0.0, lean) + 7 <= end:
        canvas.polygon(((x + lean, top), (x + lean + 7, top), (x + 7, bottom), (x, bottom)), shade(face, 0.42))
        x += 15
    middle = (y0 + y1) / 2
    logo(canvas, (plate_x + 16, middle), 7, brand)
    arrow = (y0 + 9, y1 - 9) if right else (y1 - 9, y0 + 9)
    color = (20, 140, 60) if right else (210, 40, 30)
    tip_x = plate_x + 60
    canvas.polygon(((tip_x - 13, arrow[1]), (tip_x + 13, arrow[1]), (tip_x, arrow[0])), color)
    if broken:
        paint_break(canvas, (start + end) / 2, middle, (y1 - y0) * 0.5)
    canvas.frame(x0, y0, x1, y1, 1.5, shade(face, 0.5))


def paint_break(canvas: Canvas, x: float, y: float, size: float) -> None:
    """A jagged break with cracks."""
    edge = [
        (x + size * reach * 1.6 * math.cos(k * 0.7), y + size * reach * 0.8 * math.sin(k * 0.7))
        for k, reach in enumerate((1.0, 0.6, 1.1, 0.7, 1.2, 0.65, 1.0, 0.75, 1.1))
    ]
    canvas.polygon(edge, (14, 14, 16))
    for dx, dy in ((-2.8, -0.7), (2.7, 0.8), (2.6, -0.8), (-2.5, 0.8)):
        middle = (x + dx * size * 0.6, y + dy * size * 0.25)
        canvas.stroke(((x, y), middle, (x + dx * size, y + dy * size)), 2, (14, 14, 16))
