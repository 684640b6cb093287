"""Curves of cables, and the polylines that label them.

How a drawn curve becomes vertices: a straight run has its 2 ends. A bent one (arc or S) has 8 points, evenly spaced
along its visible part, ends included, so that the polyline stays within the drawn cable. A run with a loop has 9: its
ends and, between them, the loop in sixths, starting and ending at its crossing point.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from vqc.geometry import Point, SizeWH, polyline_length

STEPS = 24
BENT_VERTICES = 8
LOOP_SIXTHS = 6


def bezier(p0: Point, p1: Point, p2: Point, p3: Point, steps: int = STEPS) -> list[Point]:
    """``steps + 1`` points of a cubic Bezier curve.

    >>> bezier((0, 0), (0, 0), (4, 0), (4, 0), steps=2)
    [(0.0, 0.0), (2.0, 0.0), (4.0, 0.0)]
    """
    points = []
    for i in range(steps + 1):
        t = i / steps
        a, b, c, d = (1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3
        points.append((a * p0[0] + b * p1[0] + c * p2[0] + d * p3[0], a * p0[1] + b * p1[1] + c * p2[1] + d * p3[1]))
    return points


def resample(points: Sequence[Point], count: int) -> list[Point]:
    """``count`` evenly spaced points along a polyline, both ends included.

    >>> resample([(0, 0), (1, 0), (4, 0)], 3)
    [(0, 0), (2.0, 0.0), (4, 0)]
    """
    step = polyline_length(points) / (count - 1)
    result, walked, index = [points[0]], 0.0, 0
    for k in range(1, count - 1):
        while (piece := math.dist(points[index], points[index + 1])) + walked < k * step:
            walked += piece
            index += 1
        t = (k * step - walked) / piece
        (x1, y1), (x2, y2) = points[index], points[index + 1]
        result.append((x1 + (x2 - x1) * t, y1 + (y2 - y1) * t))
    return [*result, points[-1]]


def clip_to_photo(points: Sequence[Point], size_wh: SizeWH) -> list[Point]:
    """The polyline from its start to the point where it first leaves the photo, inclusive.

    >>> clip_to_photo([(5, 5), (5, 15)], (10, 10))
    [(5, 5), (5.0, 10.0)]
    """
    width, height = size_wh
    inside: list[Point] = []
    for point in points:
        if 0 <= point[0] <= width and 0 <= point[1] <= height:
            inside.append(point)
            continue
        if inside:
            inside.append(_crossing(inside[-1], point, width, height))
        break
    return inside


def _crossing(inner: Point, outer: Point, width: float, height: float) -> Point:
    t = 1.0
    for a, b, high in ((inner[0], outer[0], width), (inner[1], outer[1], height)):
        if b < 0:
            t = min(t, a / (a - b))
        elif b > high:
            t = min(t, (high - a) / (b - a))
    x, y = inner[0] + (outer[0] - inner[0]) * t, inner[1] + (outer[1] - inner[1]) * t
    return min(max(x, 0.0), float(width)), min(max(y, 0.0), float(height))


def loop_points(at: Point, heading: float, radius: float, side: int, steps: int) -> list[Point]:
    """A full turn that starts and ends at ``at`` heading ``heading`` (radians), to the left (-1) or right (+1)."""
    normal = heading + side * math.pi / 2
    cx, cy = at[0] + radius * math.cos(normal), at[1] + radius * math.sin(normal)
    start = normal + math.pi
    turn = side * math.tau / steps
    middle = [
        (cx + radius * math.cos(start + turn * k), cy + radius * math.sin(start + turn * k)) for k in range(1, steps)
    ]
    return [at, *middle, at]
