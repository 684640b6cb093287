"""Intersection over union of two shapes, in any coordinate space; the constants are in norm1000."""

from __future__ import annotations

import shapely

from vqc.geometry import Kind, Shape

TUBE_TOLERANCE = 8.0
"""Half the width of the tube around a line, by which lines are compared."""


def region(shape: Shape) -> shapely.Geometry:
    """The area of a shape: a box, a polygon, or the tube around a line.

    >>> region(Shape(Kind.BBOX, (0, 0, 10, 20))).area
    200.0
    """
    if shape.kind is Kind.BBOX:
        x1, y1, x2, y2 = shape.xy
        return shapely.box(x1, y1, x2, y2)
    if shape.kind is Kind.LINE:
        return shapely.LineString(shape.points).buffer(TUBE_TOLERANCE)
    polygon = shapely.Polygon(shape.points)
    return polygon if polygon.is_valid else shapely.make_valid(polygon)


def overlap(first: Shape, second: Shape) -> float:
    """Intersection over union of the two areas; 0 between a line and another kind, and for empty areas.

    >>> overlap(Shape(Kind.BBOX, (0, 0, 10, 10)), Shape(Kind.BBOX, (0, 0, 10, 20)))
    0.5
    >>> overlap(Shape(Kind.LINE, (0, 0, 100, 0)), Shape(Kind.LINE, (0, 0, 50, 0, 100, 0)))
    1.0
    """
    if (first.kind is Kind.LINE) != (second.kind is Kind.LINE):
        return 0.0
    one, other = region(first), region(second)
    union = shapely.union(one, other).area
    return shapely.intersection(one, other).area / union if union else 0.0
