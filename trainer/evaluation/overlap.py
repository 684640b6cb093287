"""Intersection over union of two shapes, in any coordinate space; the constants are in norm1000."""

from __future__ import annotations

import shapely

from vqc.geometry import Kind, Shape

TUBE_TOLERANCE = 8.0
"""Half the width of the tube around a line, by which lines are compared."""

_GRID = 1e-9
"""Intersections are computed on this grid. Without it, a corner almost on an edge may count an area that is not shared."""


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
    if polygon.is_valid:
        return polygon
    parts = shapely.get_parts(shapely.get_parts(shapely.make_valid(polygon)))
    return shapely.MultiPolygon([part for part in parts if isinstance(part, shapely.Polygon)])  # without stray lines


def overlap(first: Shape, second: Shape) -> float:
    """Intersection over union of the two areas; 0 between a line and another kind, and for empty areas.

    >>> overlap(Shape(Kind.BBOX, (0, 0, 10, 10)), Shape(Kind.BBOX, (0, 0, 10, 20)))
    0.5
    >>> round(overlap(Shape(Kind.LINE, (0, 0, 100, 0)), Shape(Kind.LINE, (0, 0, 50, 0, 100, 0))), 6)
    1.0
    """
    if (first.kind is Kind.LINE) != (second.kind is Kind.LINE):
        return 0.0
    one, other = region(first), region(second)
    sizes = float(shapely.area(one)), float(shapely.area(other))
    if not all(sizes):
        return 0.0
    if first == second:
        return 1.0  # exactly, whatever the grid
    common = float(shapely.area(shapely.intersection(one, other, grid_size=_GRID)))
    return common / (sum(sizes) - common)
