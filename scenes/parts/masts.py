"""Painters of the mast and of what is mounted on it: a remote radio unit and its bracket."""

from __future__ import annotations

from scenes.canvas import Canvas, mix, shade
from scenes.parts.backdrops import OVERSCAN
from scenes.parts.units import LOOKS, logo, paint_break
from scenes.stage import Box, rotated_corners
from scenes.vocabulary import Brand


def paint_mast(canvas: Canvas, x: float, half: float) -> None:
    """A round steel pole."""
    _, height = canvas.camera.plane_wh
    for k in range(8):
        left = x - half + k * half / 4
        light = 1 - abs(k - 2.5) / 6
        steel = mix((84, 88, 92), (206, 210, 214), light)
        canvas.rect(left, -OVERSCAN, left + half / 4 + 0.5, height + OVERSCAN, steel)


def paint_rru(canvas: Canvas, box: Box, brand: Brand, cracked: bool = False) -> None:
    """A finned box with the manufacturer's plate, and ports along its bottom; a cracked one has a hole in its fins."""
    look = LOOKS[brand]
    face = mix(look.face, (226, 228, 228), 0.35) if brand is not Brand.ERICSSON else shade(look.face, 1.15)
    x0, y0, x1, y1 = box
    canvas.rect(x0 + 4, y0 + 5, x1 + 5, y1 + 5, (80, 84, 90))
    canvas.gradient(x0, y0, x1, y1, (shade(face, 1.05), shade(face, 0.85)))
    fin = x0 + 6
    while fin + 5 < x1 - 4:
        canvas.rect(fin, y0 + 5, fin + 4, y0 + (y1 - y0) * 0.42, shade(face, 0.66))
        fin += 9
    middle, plate = (x0 + x1) / 2, y0 + (y1 - y0) * 0.64
    canvas.rect(x0 + 14, plate - 26, x1 - 14, plate + 26, shade(face, 0.95))
    canvas.frame(x0 + 14, plate - 26, x1 - 14, plate + 26, 1, shade(face, 0.7))
    logo(canvas, (middle, plate - 9), 10, brand)
    canvas.text((middle, plate + 13), look.text, 17, look.ink)
    canvas.rect(x0 + 8, y1 - 12, x1 - 8, y1 - 3, shade(face, 0.55))
    if cracked:
        paint_break(canvas, middle, y0 + (y1 - y0) * 0.24, (y1 - y0) * 0.14)
    canvas.frame(x0, y0, x1, y1, 1.5, shade(face, 0.5))


def paint_antenna(canvas: Canvas, box: Box) -> None:
    """A panel antenna on the mast, seen from the front."""
    x0, y0, x1, y1 = box
    canvas.rect(x0 + 3, y0 + 3, x1 + 3, y1 + 3, (96, 100, 106))
    canvas.gradient(x0, y0, x1, y1, ((240, 241, 240), (214, 217, 218)))
    canvas.rect((x0 + x1) / 2 - 1, y0 + 4, (x0 + x1) / 2 + 1, y1 - 4, (192, 196, 198))
    canvas.frame(x0, y0, x1, y1, 1.5, (150, 154, 158))


def paint_bracket(canvas: Canvas, box: Box, turn_deg: float) -> None:
    """A galvanised clamp across the mast."""
    x0, y0, x1, y1 = box
    center = ((x0 + x1) / 2, (y0 + y1) / 2)
    for inset, color in ((0, (74, 78, 82)), (2, (150, 156, 162)), (7, (178, 184, 188))):
        canvas.polygon(
            rotated_corners((x0 + inset / 2, y0 + inset, x1 - inset / 2, y1 - inset), center, turn_deg), color
        )
