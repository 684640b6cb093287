"""Photos without an installation: drawings, a desk, a street, and an unreadably blurred rack."""

from __future__ import annotations

import random
from functools import partial

from scenes.canvas import RGB, Canvas, shade
from scenes.parts.backdrops import OVERSCAN, paint_sky, paint_wall
from scenes.stage import Stage

KINDS = ("paper", "desk", "street", "blurred")


def lay_irrelevant(stage: Stage, kind: str) -> None:
    """A drawing on paper, a desk or a street; the blurred rack is laid out elsewhere and loses its labels."""
    paint = {"paper": _paint_paper, "desk": _paint_desk, "street": _paint_street}[kind]
    stage.add_clutter(partial(paint, salt=stage.rng.getrandbits(30)))


def _paint_paper(canvas: Canvas, salt: int) -> None:
    rng, (w, h) = random.Random(salt), canvas.camera.plane_wh
    canvas.rect(-OVERSCAN, -OVERSCAN, w + OVERSCAN, h + OVERSCAN, (142, 112, 84))
    canvas.rect(46, 30, w - 34, h - 14, (96, 76, 58))
    canvas.rect(40, 24, w - 40, h - 20, (244, 243, 238))
    ink: RGB = (50, 54, 70)
    if rng.random() < 0.5:
        rows, columns = rng.randint(6, 9), rng.randint(3, 5)
        for k in range(rows + 1):
            y = 90 + k * (h - 140) / rows
            canvas.rect(60, y, w - 60, y + 1.5, ink)
        for k in range(columns + 1):
            x = 60 + k * (w - 120) / columns
            canvas.rect(x, 90, x + 1.5, h - 50, ink)
        for row in range(rows):
            for column in range(columns):
                x, y = 70 + column * (w - 120) / columns, 90 + (row + 0.4) * (h - 140) / rows
                canvas.rect(x, y, x + rng.uniform(20, (w - 120) / columns - 24), y + 5, (130, 132, 140))
        title = rng.choice(("巡检记录表", "施工清单", "验收登记表"))
    else:
        for _ in range(rng.randint(5, 8)):
            x, y = rng.uniform(70, w - 190), rng.uniform(90, h - 110)
            canvas.frame(x, y, x + rng.uniform(40, 110), y + rng.uniform(24, 60), 1.5, ink)
            canvas.stroke(((x, y), (rng.uniform(70, w - 80), y), (rng.uniform(70, w - 80), h - 60)), 1.2, (90, 96, 130))
        title = rng.choice(("机房平面图", "系统连接图", "布线示意图"))
    canvas.text((w / 2, 56), title, 22, ink)


def _paint_desk(canvas: Canvas, salt: int) -> None:
    rng, (w, h) = random.Random(salt), canvas.camera.plane_wh
    paint_wall(canvas, rng.choice(((206, 200, 188), (180, 194, 200))), salt)
    canvas.gradient(-OVERSCAN, h * 0.62, w + OVERSCAN, h + OVERSCAN, ((172, 128, 86), (140, 100, 64)))
    x = rng.uniform(90, 190)
    canvas.rect(x + 90, h * 0.5, x + 116, h * 0.68, (50, 52, 56))
    canvas.rect(x, h * 0.12, x + 206, h * 0.54, (30, 32, 36))
    canvas.gradient(x + 8, h * 0.14, x + 198, h * 0.51, ((70, 120, 180), (130, 180, 220)))
    canvas.rect(x - 20, h * 0.76, x + 190, h * 0.88, (60, 62, 68))
    for row in range(3):
        for k in range(13):
            left, top = x - 14 + k * 15.5, h * 0.775 + row * 11
            canvas.rect(left, top, left + 12, top + 8, (214, 214, 210))
    mug = x + rng.uniform(250, 280)
    color = rng.choice(((200, 60, 50), (50, 110, 170), (230, 226, 214)))
    canvas.disc((mug + 40, h * 0.72), 16, shade(color, 0.8))
    canvas.disc((mug + 40, h * 0.72), 9, (160, 118, 78))
    canvas.gradient(mug, h * 0.63, mug + 42, h * 0.82, (color, shade(color, 0.75)))


def _paint_street(canvas: Canvas, salt: int) -> None:
    rng, (w, h) = random.Random(salt), canvas.camera.plane_wh
    houses = [(rng.uniform(-60, w), rng.uniform(70, 130), rng.uniform(120, 230)) for _ in range(6)]
    paint_sky(canvas, (126, 176, 226), (222, 232, 240), [])
    for x, wide, tall in houses:
        wall = shade((206, 180, 150), rng.uniform(0.7, 1.1))
        canvas.rect(x, h * 0.8 - tall, x + wide, h * 0.8, wall)
        for row in range(int(tall // 34)):
            for k in range(int(wide // 30)):
                left, top = x + 8 + k * 30, h * 0.8 - tall + 10 + row * 34
                canvas.rect(left, top, left + 15, top + 20, (110, 140, 170))
    canvas.rect(-OVERSCAN, h * 0.8, w + OVERSCAN, h + OVERSCAN, (104, 106, 110))
    for k in range(-2, 12):
        canvas.rect(k * 70, h * 0.9, k * 70 + 36, h * 0.91, (236, 236, 226))
    for _ in range(rng.randint(1, 3)):
        x = rng.uniform(20, w - 20)
        canvas.rect(x - 6, h * 0.55, x + 6, h * 0.82, (104, 74, 50))
        for dx, dy in ((0, 0.42), (-26, 0.48), (26, 0.5)):
            canvas.disc((x + dx, h * dy), 34, (60, rng.randint(118, 140), 60))
