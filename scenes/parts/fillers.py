"""Painters of what fills a rack between units: other equipment, empty slots, the shifted domain's alarm box."""

from __future__ import annotations

import random

from scenes.canvas import Canvas, shade
from scenes.parts.units import EAR
from scenes.stage import Box


def paint_filler(canvas: Canvas, box: Box, salt: int = 0) -> None:
    """Other equipment, never labelled: a plain panel with handles, a perforated one or a power shelf with fans."""
    x0, y0, x1, y1 = box
    rng = random.Random(salt)
    face = rng.choice(((92, 96, 104), (110, 108, 100), (84, 92, 92)))
    canvas.gradient(x0, y0, x1, y1, (shade(face, 1.12), shade(face, 0.9)), steps=3)
    middle, kind = (y0 + y1) / 2, rng.randrange(3)
    if kind == 0:
        for left in (x0 + 34, x1 - 84):
            canvas.rect(left, middle - 3, left + 50, middle + 3, shade(face, 0.55))
    elif kind == 1:
        for k in range(int((x1 - x0 - 72) / 12)):
            for row in (-8, 2):
                canvas.rect(x0 + 38 + k * 12, middle + row, x0 + 46 + k * 12, middle + row + 6, shade(face, 0.45))
    else:
        radius = (y1 - y0) * 0.34
        for k in range(3):
            for ratio, tone in ((1.0, 0.4), (0.8, 0.7), (0.3, 0.35)):
                canvas.disc((x1 - 60 - k * 34, middle), radius * ratio, shade(face, tone))
        canvas.rect(x0 + 40, middle - 5, x0 + 64, middle + 5, (20, 44, 30))
    canvas.frame(x0, y0, x1, y1, 1, shade(face, 0.6))


def paint_gap(canvas: Canvas, box: Box) -> None:
    """An empty slot: a black opening with a lit lower lip."""
    x0, y0, x1, y1 = box
    canvas.rect(x0 + EAR, y0 + 1, x1 - EAR, y1 - 1, (16, 17, 19))
    canvas.rect(x0 + EAR, y1 - 4, x1 - EAR, y1 - 1, (58, 60, 64))


def paint_alarm_box(canvas: Canvas, box: Box) -> None:
    """The shifted domain's alarm box: orange, with a beacon and a grille."""
    x0, y0, x1, y1 = box
    canvas.rect(x0 + 3, y0 + 3, x1 + 4, y1 + 4, (30, 30, 32))
    canvas.gradient(x0, y0, x1, y1, ((246, 150, 40), (214, 116, 20)), steps=4)
    middle = (y0 + y1) / 2
    radius = min(14.0, (y1 - y0) * 0.32)
    canvas.disc((x0 + 22, middle), radius, (120, 20, 16))
    canvas.disc((x0 + 22, middle), radius * 0.75, (236, 50, 40))
    canvas.disc((x0 + 19, middle - 3), radius * 0.25, (255, 190, 180))
    for k in range(4):
        y = y0 + (y1 - y0) * (0.24 + 0.16 * k)
        canvas.rect(x0 + 46, y, x1 - 8, y + 3, (96, 50, 10))
    canvas.frame(x0, y0, x1, y1, 1.5, (120, 62, 10))
