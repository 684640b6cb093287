"""Painters of backgrounds: walls, rack, ground bar, cabinet panel, ODF panel and sky."""

from __future__ import annotations

import random

from scenes.canvas import RGB, Canvas, shade
from scenes.stage import Box

OVERSCAN = 220
"""How far a background extends beyond the visible plane, so that a tilted photo has no bare corners."""

WALLS: tuple[RGB, ...] = ((172, 176, 178), (150, 160, 168), (188, 184, 174), (140, 146, 150))


def paint_wall(canvas: Canvas, color: RGB, salt: int = 0) -> None:
    """A panelled wall."""
    width, height = canvas.camera.plane_wh
    rng = random.Random(salt)
    canvas.rect(-OVERSCAN, -OVERSCAN, width + OVERSCAN, height + OVERSCAN, color)
    step = rng.uniform(90, 150)
    x = -OVERSCAN + rng.uniform(0, step)
    while x < width + OVERSCAN:
        canvas.rect(x, -OVERSCAN, x + 2, height + OVERSCAN, shade(color, 0.86))
        x += step


def paint_bricks(canvas: Canvas) -> None:
    """The shifted domain's wall: red bricks with pale joints."""
    width, height = canvas.camera.plane_wh
    canvas.rect(-OVERSCAN, -OVERSCAN, width + OVERSCAN, height + OVERSCAN, (196, 184, 168))
    rng = random.Random(7)
    for row in range(int((height + 2 * OVERSCAN) / 26)):
        y = -OVERSCAN + row * 26
        for column in range(int((width + 2 * OVERSCAN) / 60) + 1):
            x = -OVERSCAN + column * 60 - (row % 2) * 30
            canvas.rect(x, y, x + 57, y + 23, shade((170, 84, 62), rng.uniform(0.85, 1.1)))


def paint_rack(canvas: Canvas, left: float, right: float, paint: RGB) -> None:
    """An open rack between two plane x: posts, perforated rails and the dark inside."""
    _, height = canvas.camera.plane_wh
    top, bottom = -OVERSCAN, height + OVERSCAN
    for x0, x1 in ((left - 26, left), (right, right + 26)):
        canvas.rect(x0, top, x1, bottom, paint)
        canvas.rect(x0, top, x0 + 3, bottom, shade(paint, 1.25))
        canvas.rect(x1 - 4, top, x1, bottom, shade(paint, 0.6))
    canvas.rect(left, top, right, bottom, (36, 38, 42))
    canvas.rect(left + 28, top, left + 44, bottom, (24, 25, 28))
    for k in range(-2, int(height / 44) + 3):
        canvas.rect(left + 44, k * 44, right - 28, k * 44 + 3, (46, 48, 53))
        canvas.rect(left + 44, k * 44 + 3, right - 28, k * 44 + 5, (29, 30, 33))
    for x in (left, right - 28):
        canvas.rect(x, top, x + 28, bottom, (112, 116, 122))
        canvas.rect(x, top, x + 2, bottom, (150, 154, 160))
        y = -100.0
        while y < height + 100:
            canvas.rect(x + 10, y, x + 18, y + 8, (40, 42, 46))
            y += 24


def paint_cabinet_panel(canvas: Canvas, color: RGB, seam: float) -> None:
    """A painted cabinet side with a frame post and perforation."""
    width, height = canvas.camera.plane_wh
    canvas.gradient(
        -OVERSCAN, -OVERSCAN, width + OVERSCAN, height + OVERSCAN, (shade(color, 1.1), shade(color, 0.85)), 8
    )
    for x in (seam, width - seam):
        canvas.rect(x - 9, -OVERSCAN, x + 9, height + OVERSCAN, shade(color, 0.72))
        canvas.rect(x - 9, -OVERSCAN, x - 6, height + OVERSCAN, shade(color, 1.15))
        for k in range(-3, int(height / 30) + 4):
            canvas.rect(x - 3, k * 30, x + 3, k * 30 + 12, shade(color, 0.3))
    canvas.rect(-OVERSCAN, height * 0.93, width + OVERSCAN, height * 0.95, shade(color, 0.6))


def paint_ground_mark(canvas: Canvas, x: float, y: float) -> None:
    """The sticker with the ground symbol."""
    canvas.rect(x - 13, y - 13, x + 13, y + 13, (240, 220, 60))
    canvas.rect(x - 1.2, y - 9, x + 1.2, y, (20, 20, 20))
    for k, half in enumerate((8, 5, 2)):
        canvas.rect(x - half, y + k * 4, x + half, y + k * 4 + 2, (20, 20, 20))


def paint_bar(canvas: Canvas, box: Box, holes: list[float]) -> None:
    """A copper ground bar on two insulators, with spare holes."""
    x0, y0, x1, y1 = box
    for x in (x0 - 14, x1 - 4):
        canvas.rect(x, y0 - 6, x + 18, y1 + 6, (150, 44, 36))
        canvas.rect(x + 3, y0 - 6, x + 6, y1 + 6, (200, 96, 84))
    canvas.rect(x0 + 2, y1 - 2, x1 + 3, y1 + 5, (70, 66, 60))
    canvas.gradient(x0, y0, x1, y1, ((226, 160, 96), (176, 108, 56)), steps=5)
    canvas.rect(x0, y0, x1, y0 + 2, (250, 206, 150))
    for x in holes:
        canvas.disc((x, (y0 + y1) / 2), 5, (60, 40, 26))


def paint_odf(canvas: Canvas, box: Box, color: RGB, ports: list[tuple[float, float]]) -> None:
    """An ODF panel with its adapters; unused ones have a dust cap."""
    width, height = canvas.camera.plane_wh
    x0, y0, x1, y1 = box
    canvas.rect(-OVERSCAN, -OVERSCAN, width + OVERSCAN, height + OVERSCAN, (64, 68, 74))
    canvas.gradient(x0, y0, x1, y1, (shade(color, 1.06), shade(color, 0.9)), steps=5)
    canvas.frame(x0, y0, x1, y1, 3, shade(color, 0.6))
    for x, y in ports:
        canvas.rect(x - 13, y - 17, x + 13, y + 6, shade(color, 0.7))
        canvas.rect(x - 10, y - 14, x + 10, y + 4, (24, 96, 62))
        canvas.disc((x, y - 5), 5, (226, 226, 222))


def paint_roof(canvas: Canvas, y: float) -> None:
    """The flat roof on which masts stand, with its parapet."""
    width, height = canvas.camera.plane_wh
    canvas.gradient(-OVERSCAN, y, width + OVERSCAN, height + OVERSCAN, ((150, 146, 140), (122, 118, 114)))
    canvas.rect(-OVERSCAN, y, width + OVERSCAN, y + 5, (186, 180, 172))


def paint_sky(canvas: Canvas, top: RGB, bottom: RGB, skyline: list[tuple[float, float, float]]) -> None:
    """Sky with distant roofs (x, width, height in units)."""
    width, height = canvas.camera.plane_wh
    canvas.gradient(-OVERSCAN, -OVERSCAN, width + OVERSCAN, height + OVERSCAN, (top, bottom), steps=24)
    for x, wide, tall in skyline:
        canvas.rect(x, height - tall, x + wide, height + OVERSCAN, (128, 132, 136))
        canvas.rect(x, height - tall, x + wide, height - tall + 4, (168, 150, 140))
