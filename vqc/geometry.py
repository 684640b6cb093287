"""Shapes on a photo, and their two coordinate spaces.

Owns the three shapes (``bbox_2d``, ``quad``, ``line``), their canonical form, and the conversion between pixel space and
norm1000 space. The trainer owns affine maps and clipping, ``vqc.caption`` the reading order.

Edge convention (ADR 0002): a coordinate is a position on the plane, not a pixel index; a photo of W pixels spans x from
0 to W, so a horizontal flip is x' = W - x. Norm1000 divides that span into 1000 steps, whatever the size.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Self

from vqc.errors import InvalidValue

NORM = 1000
"""Largest coordinate of norm1000 space."""

MAX_LINE_POINTS = 32
"""Maximum number of points of a line, in every space."""

Point = tuple[float, float]
SizeWH = tuple[int, int]


class Kind(StrEnum):
    """The kind of a shape; the value is its key in a caption's JSON."""

    BBOX = "bbox_2d"
    QUAD = "quad"
    LINE = "line"


@dataclass(frozen=True, slots=True)
class Shape:
    """A box, quad or line as one flat tuple x1, y1, x2, y2, … in the space of its owner (px or norm1000).

    A box has its top-left and bottom-right corner, a quad four corners, a line 2..``MAX_LINE_POINTS`` points.

    >>> Shape(Kind.BBOX, (10, 20, 30, 40)).points
    ((10, 20), (30, 40))

    Raises:
        InvalidValue: wrong number of coordinates, a non-finite coordinate, or a box with swapped corners.
    """

    kind: Kind
    xy: tuple[float, ...]

    def __post_init__(self) -> None:
        low, high = {Kind.BBOX: (4, 4), Kind.QUAD: (8, 8), Kind.LINE: (4, 2 * MAX_LINE_POINTS)}[self.kind]
        if len(self.xy) % 2 or not low <= len(self.xy) <= high:
            count = f"{low} coordinates" if low == high else f"an even number of {low} to {high} coordinates"
            raise InvalidValue(self.kind, self.xy, f"must have {count}")
        if not all(math.isfinite(v) for v in self.xy):
            raise InvalidValue(self.kind, self.xy, "must have finite coordinates")
        if self.kind is Kind.BBOX and (self.xy[0] > self.xy[2] or self.xy[1] > self.xy[3]):
            raise InvalidValue(self.kind, self.xy, "must be x1, y1, x2, y2 with x1 <= x2 and y1 <= y2")

    @classmethod
    def from_points(cls, kind: Kind, points: Iterable[Point]) -> Self:
        """The shape with these points."""
        return cls(kind, tuple(v for point in points for v in point))

    @property
    def points(self) -> tuple[Point, ...]:
        """The coordinates as (x, y) pairs."""
        return tuple(zip(self.xy[0::2], self.xy[1::2], strict=True))


def canonical(shape: Shape) -> Shape:
    """The canonical form of a shape: idempotent, and independent of the order in which points were given.

    A quad starts at its top-most (then left-most) corner and runs clockwise on the screen; a line starts at its left-most
    (then top-most) end. A box has only one form.

    >>> canonical(Shape(Kind.QUAD, (0, 10, 10, 10, 10, 0, 0, 0))).xy
    (0, 0, 10, 0, 10, 10, 0, 10)
    >>> canonical(Shape(Kind.LINE, (9, 1, 5, 5, 2, 3))).xy
    (2, 3, 5, 5, 9, 1)
    """
    points = shape.points
    if shape.kind is Kind.LINE:
        return Shape.from_points(shape.kind, min(points, points[::-1]))
    if shape.kind is Kind.QUAD:
        area = _signed_area(points)
        spellings = _rotations(points) if area >= 0 else []
        if area <= 0:  # a quad without area has no direction, so both are candidates
            spellings += _rotations(points[::-1])
        return Shape.from_points(shape.kind, min(spellings, key=lambda ps: [(y, x) for x, y in ps]))
    return shape


def reference_point(shape: Shape) -> Point:
    """The first point of a canonical shape; it decides the place in reading order.

    >>> reference_point(Shape(Kind.BBOX, (10, 20, 30, 40)))
    (10, 20)
    """
    return shape.points[0]


def polyline_length(points: Sequence[Point]) -> float:
    """Length of a polyline, in the unit of its points.

    >>> polyline_length([(0, 0), (3, 4), (3, 5)])
    6.0
    """
    return sum(math.dist(a, b) for a, b in pairwise(points))


def rectangle_corners(xyxy: Sequence[float]) -> tuple[Point, Point, Point, Point]:
    """The corners of an upright rectangle x1, y1, x2, y2, clockwise from its top left.

    >>> rectangle_corners((1, 2, 3, 4))
    ((1, 2), (3, 2), (3, 4), (1, 4))
    """
    x1, y1, x2, y2 = xyxy
    return (x1, y1), (x2, y1), (x2, y2), (x1, y2)


def to_norm1000(shape: Shape, size_wh: SizeWH) -> Shape:
    """A pixel-space shape in norm1000: integers 0..1000, rounded half to even, clamped to the photo.

    >>> to_norm1000(Shape(Kind.BBOX, (100, 200, 300, 400)), (800, 600)).xy
    (125, 333, 375, 667)
    """
    width, height = _require_size(size_wh)
    return Shape.from_points(shape.kind, ((_norm(x / width), _norm(y / height)) for x, y in shape.points))


def to_pixels(shape: Shape, size_wh: SizeWH) -> Shape:
    """A norm1000 shape in pixels of a photo of ``size_wh``: floats within half a step (size / 2000) of the original.

    >>> to_pixels(Shape(Kind.BBOX, (125, 333, 375, 667)), (800, 600)).xy
    (100.0, 199.8, 300.0, 400.2)
    """
    width, height = _require_size(size_wh)
    return Shape.from_points(shape.kind, ((x * width / NORM, y * height / NORM) for x, y in shape.points))


def _norm(fraction: float) -> int:
    return min(max(round(fraction * NORM), 0), NORM)


def _require_size(size_wh: SizeWH) -> SizeWH:
    if min(size_wh) < 1:
        raise InvalidValue("size_wh", size_wh, "width and height must be at least 1 px")
    return size_wh


def _signed_area(points: tuple[Point, ...]) -> float:
    """Shoelace area; positive where the corners run clockwise on a screen (y grows downward)."""
    following = points[1:] + points[:1]
    return sum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in zip(points, following, strict=True)) / 2


def _rotations(points: tuple[Point, ...]) -> list[tuple[Point, ...]]:
    return [points[i:] + points[:i] for i in range(len(points))]
