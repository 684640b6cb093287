"""Moving and clipping shapes: affine maps, polygon and polyline clipping, rectangles of least area.

Everything is pure and in float pixels of edge convention (ADR 0002): a photo of W × H px covers 0..W by 0..H and the
centre of its first pixel is (0.5, 0.5). Nothing is rounded here; ``vqc.geometry.to_norm1000`` rounds once at the end.
Canonical form (winding, first corner) is ``vqc.geometry.canonical``'s and is applied to every result.

An affine map is a 3 × 3 float matrix that acts on column vectors (x, y, 1).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np
import shapely
from numpy.typing import NDArray

from vqc.geometry import Kind, Point, Shape, SizeWH, canonical, polyline_length, rectangle_corners

Affine = NDArray[np.float64]
"""3 × 3, last row 0 0 1."""

Window = tuple[float, float, float, float]
"""x1, y1, x2, y2 in px."""

_EPSILON = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class ClippedShape:
    """The part of a shape inside a window: never empty. ``coverage`` is in (0, 1], exactly 1 when nothing was cut.

    Coverage is the kept share of the area; for a line, the kept piece's share of the length.
    """

    shape: Shape
    coverage: float


def identity() -> Affine:
    """The map that moves nothing."""
    return np.eye(3)


def translation(dx: float, dy: float) -> Affine:
    """The map that moves everything by (dx, dy) px.

    >>> move_shape(Shape(Kind.BBOX, (10, 20, 50, 60)), translation(-5, -10)).xy
    (5.0, 10.0, 45.0, 50.0)
    """
    return np.array([[1, 0, dx], [0, 1, dy], [0, 0, 1]], dtype=np.float64)


def scaling(sx: float, sy: float, centre: Point = (0.0, 0.0)) -> Affine:
    """The map that stretches by sx and sy away from ``centre``.

    >>> move_shape(Shape(Kind.BBOX, (10, 10, 20, 20)), scaling(2, 1)).xy
    (20.0, 10.0, 40.0, 20.0)
    """
    return about(np.diag([sx, sy, 1.0]), centre)


def rotation(degrees: float, centre: Point = (0.0, 0.0)) -> Affine:
    """The map that rotates clockwise on the screen about ``centre``.

    >>> [round(v, 6) for v in move_shape(Shape(Kind.LINE, (0, 0, 10, 0)), rotation(90)).xy]
    [0.0, 0.0, 0.0, 10.0]
    """
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return about(np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]]), centre)


def hflip(width: float) -> Affine:
    """The mirror x' = width - x.

    >>> move_shape(Shape(Kind.BBOX, (10, 10, 20, 30)), hflip(64)).xy
    (44.0, 10.0, 54.0, 30.0)
    """
    return np.array([[-1, 0, width], [0, 1, 0], [0, 0, 1]], dtype=np.float64)


def vflip(height: float) -> Affine:
    """The mirror y' = height - y."""
    return np.array([[1, 0, 0], [0, -1, height], [0, 0, 1]], dtype=np.float64)


def about(linear: Affine, centre: Point) -> Affine:
    """The map that does about ``centre`` what ``linear`` does about the origin."""
    return translation(*centre) @ linear @ translation(-centre[0], -centre[1])


def on_pixel_indices(matrix: Affine) -> Affine:
    """The same map for pixel indices, whose origin is the centre of the first pixel, as ``cv2.warpAffine`` takes it.

    >>> on_pixel_indices(hflip(4)) @ np.array([0, 0, 1.0])
    array([3., 0., 1.])
    """
    return translation(-0.5, -0.5) @ matrix @ translation(0.5, 0.5)


def move_points(points: Iterable[Point], matrix: Affine) -> tuple[Point, ...]:
    """The points after the map."""
    xy = np.array([(x, y, 1.0) for x, y in points]) @ matrix.T
    return tuple((float(x), float(y)) for x, y, _ in xy)


def move_shape(shape: Shape, matrix: Affine) -> Shape:
    """The shape after the map, not clipped, in canonical form.

    A box stays a box where the map keeps its sides upright (flips, scalings, quarter turns). Other maps make it a quad.
    """
    if shape.kind is not Kind.BBOX:
        return canonical(Shape.from_points(shape.kind, move_points(shape.points, matrix)))
    corners = move_points(rectangle_corners(shape.xy), matrix)
    straight = np.abs(matrix[[0, 1], [1, 0]]).max() <= _EPSILON
    quarter = np.abs(matrix[[0, 1], [0, 1]]).max() <= _EPSILON
    if straight or quarter:
        return Shape(Kind.BBOX, _bounds(corners))
    return canonical(Shape.from_points(Kind.QUAD, corners))


def clip_shape(shape: Shape, window: Window) -> ClippedShape | None:
    """The part of a shape inside a window in canonical form; None when nothing, or only an edge, is inside.

    A cut quad keeps its exact outline if that has at most four corners. Otherwise it becomes the smallest rectangle
    around it or four of its corners, whichever overlaps it best without leaving the window. A line keeps its longest
    piece: pieces are never joined across the outside.

    >>> clip_shape(Shape(Kind.BBOX, (10, 10, 50, 50)), (30, 30, 70, 70))
    ClippedShape(shape=Shape(kind=<Kind.BBOX: 'bbox_2d'>, xy=(30, 30, 50, 50)), coverage=0.25)
    """
    x1, y1, x2, y2 = window
    inside = all(x1 - _EPSILON <= x <= x2 + _EPSILON and y1 - _EPSILON <= y <= y2 + _EPSILON for x, y in shape.points)
    if inside:
        kept = Shape.from_points(shape.kind, (_clamp(point, window) for point in shape.points))
        return ClippedShape(shape=canonical(kept), coverage=1.0)
    if shape.kind is Kind.LINE:
        return _clip_line(shape, window)
    return _clip_box(shape, window) if shape.kind is Kind.BBOX else _clip_quad(shape, window)


def min_area_rectangle(points: Sequence[Point]) -> tuple[Point, ...]:
    """The four corners of the smallest (rotated) rectangle around the points.

    >>> corners = move_points(((0, 0), (30, 0), (30, 10), (0, 10)), rotation(20))
    >>> round(polygon_area(min_area_rectangle(corners)), 6)
    300.0
    """
    rectangle = shapely.MultiPoint(points).minimum_rotated_rectangle
    if isinstance(rectangle, shapely.Polygon):
        return tuple((float(x), float(y)) for x, y in rectangle.exterior.coords[:4])
    ends = [(float(x), float(y)) for x, y in rectangle.coords]  # all points on one line: a rectangle without width
    return (ends[0], ends[-1], ends[-1], ends[0])


def polygon_area(points: Sequence[Point]) -> float:
    """Area in px² of a simple polygon, clockwise or counter-clockwise.

    >>> polygon_area(((0, 0), (3, 0), (3, 2), (0, 2)))
    6.0
    """
    following = [*points[1:], points[0]]
    return abs(sum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in zip(points, following, strict=True))) / 2


def photo_window(size_wh: SizeWH) -> Window:
    """The window that a photo covers."""
    return (0.0, 0.0, float(size_wh[0]), float(size_wh[1]))


def line_pieces(points: Sequence[Point], window: Window) -> list[list[Point]]:
    """The parts of a polyline inside a window, in its own order, each with at least two points.

    >>> line_pieces([(5, 5), (15, 5), (15, 8), (5, 8)], (0, 0, 10, 10))
    [[(5, 5), (10.0, 5.0)], [(10.0, 8.0), (5, 8)]]
    """
    pieces: list[list[Point]] = []
    for start, end in pairwise(points):
        segment = _clip_segment(start, end, window)
        if segment is None:
            continue
        if pieces and pieces[-1][-1] == segment[0] == start:
            pieces[-1].append(segment[1])
        else:
            pieces.append(list(segment))
    return pieces


def _clip_segment(start: Point, end: Point, window: Window) -> tuple[Point, Point] | None:
    """The part of a segment inside the window (Liang and Barsky); None when it misses the window or touches a corner."""
    (x, y), dx, dy = start, end[0] - start[0], end[1] - start[1]
    first, last = 0.0, 1.0
    for step, room in ((-dx, x - window[0]), (dx, window[2] - x), (-dy, y - window[1]), (dy, window[3] - y)):
        if step == 0:
            if room < 0:
                return None
            continue
        if step < 0:
            first = max(first, room / step)
        else:
            last = min(last, room / step)
    if first >= last:
        return None
    return (
        start if first == 0 else _clamp((x + first * dx, y + first * dy), window),
        end if last == 1 else _clamp((x + last * dx, y + last * dy), window),
    )


def _clip_line(shape: Shape, window: Window) -> ClippedShape | None:
    pieces = line_pieces(shape.points, window)
    if not pieces:
        return None
    longest = max(pieces, key=polyline_length)
    kept = [point for n, point in enumerate(longest) if n == 0 or point != longest[n - 1]]
    total = polyline_length(shape.points)
    if len(kept) < 2 or total == 0:
        return None
    return ClippedShape(shape=canonical(Shape.from_points(Kind.LINE, kept)), coverage=polyline_length(kept) / total)


def _clip_box(shape: Shape, window: Window) -> ClippedShape | None:
    x1, y1 = max(shape.xy[0], window[0]), max(shape.xy[1], window[1])
    x2, y2 = min(shape.xy[2], window[2]), min(shape.xy[3], window[3])
    total = (shape.xy[2] - shape.xy[0]) * (shape.xy[3] - shape.xy[1])
    if x1 >= x2 or y1 >= y2 or total == 0:
        return None
    return ClippedShape(shape=Shape(Kind.BBOX, (x1, y1, x2, y2)), coverage=(x2 - x1) * (y2 - y1) / total)


def _clip_quad(shape: Shape, window: Window) -> ClippedShape | None:
    polygon = shapely.Polygon(shape.points)
    if not polygon.is_valid:  # its sides cross: the convex hull is the area that it encloses
        polygon = polygon.convex_hull
    if not isinstance(polygon, shapely.Polygon) or polygon.area <= _EPSILON:
        return None
    part = polygon.intersection(shapely.box(*window))
    pieces = [piece for piece in getattr(part, "geoms", [part]) if isinstance(piece, shapely.Polygon)]
    largest = max(pieces, key=lambda piece: piece.area, default=None)
    if largest is None or largest.area <= _EPSILON:
        return None
    corners = _four_corners(largest, window)
    return ClippedShape(
        shape=canonical(Shape.from_points(Kind.QUAD, (_clamp(corner, window) for corner in corners))),
        coverage=min(largest.area / polygon.area, 1.0),
    )


def _four_corners(polygon: shapely.Polygon, window: Window) -> tuple[Point, ...]:
    """Four corners for a clipped outline: exact if it has at most four, else the quad that overlaps it best.

    Candidates are the smallest rectangle, if it stays in the window, and any four of the outline's corners.
    """
    outline = polygon.simplify(1e-6)  # the intersection leaves points on straight sides, which are no corners
    ring = outline.exterior.coords[:-1] if isinstance(outline, shapely.Polygon) else polygon.exterior.coords[:-1]
    points = tuple((float(x), float(y)) for x, y in ring)
    if len(points) == 4:
        return points
    if len(points) == 3:  # a fourth corner in the middle of the longest side keeps the outline
        a, b = max(((0, 1), (1, 2), (2, 0)), key=lambda side: math.dist(points[side[0]], points[side[1]]))
        middle = ((points[a][0] + points[b][0]) / 2, (points[a][1] + points[b][1]) / 2)
        return (*points[: a + 1], middle, *points[a + 1 :])
    rectangle = min_area_rectangle(points)
    rectangles = [rectangle] if all(_clamp(corner, window, 1e-6) == corner for corner in rectangle) else []
    return max([*rectangles, *combinations(points, 4)], key=lambda corners: _overlap(polygon, corners))


def _overlap(polygon: shapely.Polygon, corners: Sequence[Point]) -> float:
    """Intersection over union, 0..1."""
    other = shapely.Polygon(corners)
    if not other.is_valid:
        return 0.0
    shared = polygon.intersection(other).area
    return shared / (polygon.area + other.area - shared)


def _bounds(points: Sequence[Point]) -> Window:
    xs, ys = [x for x, _ in points], [y for _, y in points]
    return (min(xs), min(ys), max(xs), max(ys))


def _clamp(point: Point, window: Window, tolerance: float = 0.0) -> Point:
    """The nearest point of the window; the point itself if it is within ``tolerance`` of the window."""
    x1, y1, x2, y2 = (window[0] - tolerance, window[1] - tolerance, window[2] + tolerance, window[3] + tolerance)
    return (min(max(point[0], x1), x2), min(max(point[1], y1), y2))
