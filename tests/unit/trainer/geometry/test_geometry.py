"""Laws of moving and clipping shapes, as properties and as the predecessor's cases that the design keeps."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import shapely
from hypothesis import assume, given
from hypothesis import strategies as st

from trainer.geometry import (
    Affine,
    clip_shape,
    hflip,
    identity,
    line_pieces,
    min_area_rectangle,
    move_points,
    move_shape,
    on_pixel_indices,
    polygon_area,
    polyline_length,
    rotation,
    scaling,
    translation,
    vflip,
)
from vqc.geometry import Kind, Shape, canonical

coordinate = st.floats(-200, 400, allow_nan=False).map(lambda v: round(v, 3))
point = st.tuples(coordinate, coordinate)
WINDOW = (0.0, 0.0, 200.0, 150.0)


@st.composite
def boxes(draw: st.DrawFn) -> Shape:
    (x1, y1), (x2, y2) = draw(point), draw(point)
    assume(abs(x1 - x2) > 0.5 and abs(y1 - y2) > 0.5)
    return Shape(Kind.BBOX, (min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)))


@st.composite
def quads(draw: st.DrawFn) -> Shape:
    """Convex quads: rectangles stretched and turned."""
    box = draw(boxes())
    return move_shape(box, rotation(draw(st.floats(1, 44)), draw(point)))


lines = st.lists(point, min_size=2, max_size=8, unique=True).map(lambda ps: Shape.from_points(Kind.LINE, ps))
shapes = st.one_of(boxes(), quads(), lines)


@st.composite
def maps(draw: st.DrawFn) -> Affine:
    matrix = identity()
    for _ in range(draw(st.integers(1, 4))):
        step = draw(
            st.sampled_from(
                [
                    hflip(200),
                    vflip(150),
                    rotation(draw(st.floats(-180, 180)), (100, 75)),
                    scaling(draw(st.floats(0.5, 2)), draw(st.floats(0.5, 2)), (100, 75)),
                    translation(draw(st.floats(-50, 50)), draw(st.floats(-50, 50))),
                ]
            )
        )
        matrix = step @ matrix
    return matrix


def clockwise(points: tuple[tuple[float, float], ...]) -> bool:
    return sum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in pairwise([*points, points[0]])) >= -1e-6


@given(shapes, maps())
def test_moved_shapes_are_canonical_and_wound_clockwise(shape: Shape, matrix: Affine) -> None:
    result = move_shape(shape, matrix)
    assert canonical(result) == result
    if result.kind is Kind.QUAD:
        assert clockwise(result.points)
        assert result.points[0] == min(result.points, key=lambda p: (p[1], p[0]))


@given(shapes)
def test_a_fully_covered_object_has_coverage_exactly_1(shape: Shape) -> None:
    around = (-1000.0, -1000.0, 1000.0, 1000.0)
    result = clip_shape(shape, around)
    assert result is not None
    assert result.coverage == 1.0
    assert result.shape == canonical(shape)


@given(shapes)
def test_clipped_shapes_stay_inside_and_canonical(shape: Shape) -> None:
    result = clip_shape(shape, WINDOW)
    if result is None:
        return
    assert 0 < result.coverage <= 1
    assert canonical(result.shape) == result.shape
    assert result.shape.kind is shape.kind
    assert all(-1e-6 <= x <= 200 + 1e-6 and -1e-6 <= y <= 150 + 1e-6 for x, y in result.shape.points)


@given(quads())
def test_coverage_of_a_quad_is_its_share_of_the_area_and_the_outline_is_kept_well(shape: Shape) -> None:
    whole = shapely.Polygon(shape.points)
    part = whole.intersection(shapely.box(*WINDOW))
    result = clip_shape(shape, WINDOW)
    if part.area < 1:
        return
    assert result is not None
    assert result.coverage == pytest.approx(part.area / whole.area, abs=1e-6)
    kept = shapely.Polygon(result.shape.points)
    assert kept.intersection(part).area / kept.union(part).area > 0.5


@given(boxes())
def test_a_box_and_the_same_box_as_quad_have_equal_coverage(box: Shape) -> None:
    x1, y1, x2, y2 = box.xy
    quad = Shape(Kind.QUAD, (x1, y1, x2, y1, x2, y2, x1, y2))
    from_box, from_quad = clip_shape(box, WINDOW), clip_shape(quad, WINDOW)
    if from_box is None or from_box.coverage < 1e-6:
        return
    assert from_quad is not None
    assert from_quad.coverage == pytest.approx(from_box.coverage, abs=1e-6)


@given(lines)
def test_line_pieces_lie_on_the_line_and_inside(shape: Shape) -> None:
    whole = shapely.LineString(shape.points)
    for piece in line_pieces(shape.points, WINDOW):
        assert len(piece) >= 2
        for x, y in piece:
            assert -1e-9 <= x <= 200 + 1e-9
            assert -1e-9 <= y <= 150 + 1e-9
            assert whole.distance(shapely.Point(x, y)) < 1e-6
    inside = sum(polyline_length(piece) for piece in line_pieces(shape.points, WINDOW))
    assert inside == pytest.approx(_length_inside(shape), abs=1e-6)


def _length_inside(shape: Shape) -> float:
    box = shapely.box(*WINDOW)
    return sum(shapely.LineString(pair).intersection(box).length for pair in pairwise(shape.points))


@given(maps(), st.lists(point, min_size=1, max_size=5))
def test_pixel_indices_are_half_a_pixel_before_edges(matrix: Affine, points: list[tuple[float, float]]) -> None:
    edges = move_points(points, matrix)
    indices = move_points([(x - 0.5, y - 0.5) for x, y in points], on_pixel_indices(matrix))
    assert np.allclose(np.array(indices) + 0.5, edges, atol=1e-6)


def test_a_line_that_leaves_and_comes_back_is_not_joined() -> None:
    line = Shape(Kind.LINE, (10, 10, 190, 10, 300, 10, 300, 60, 150, 60))
    result = clip_shape(line, WINDOW)
    assert result is not None
    assert result.shape.xy == (10, 10, 190, 10, 200, 10)
    assert result.coverage == pytest.approx(190 / 490)


@pytest.mark.parametrize("degrees", [0, 10, 20, 30, 45])
def test_min_area_rectangle_of_a_turned_rectangle_has_its_area(degrees: float) -> None:
    corners = move_points(((0, 0), (30, 0), (30, 10), (0, 10)), rotation(degrees))
    assert polygon_area(min_area_rectangle(corners)) == pytest.approx(300, abs=1e-6)


def test_min_area_rectangle_of_points_on_a_line_has_no_area() -> None:
    assert polygon_area(min_area_rectangle([(0, 0), (5, 5), (10, 10)])) == 0


def test_a_triangle_that_is_left_keeps_its_outline() -> None:
    result = clip_shape(Shape(Kind.QUAD, (-20, 0, 20, 0, 20, 40, -20, 40)), (0, 0, 200, 150))
    assert result is not None
    assert result.coverage == 0.5
    diamond = move_shape(Shape(Kind.BBOX, (-10, -10, 10, 10)), rotation(45))
    corner = clip_shape(diamond, (0, 0, 200, 150))
    assert corner is not None
    assert polygon_area(corner.shape.points) == pytest.approx(100)
    assert corner.coverage == pytest.approx(0.25)


def test_shapes_that_only_touch_the_window_are_gone() -> None:
    assert clip_shape(Shape(Kind.BBOX, (200, 0, 300, 50)), WINDOW) is None
    assert clip_shape(Shape(Kind.QUAD, (200, 0, 300, 0, 300, 50, 200, 50)), WINDOW) is None
    assert clip_shape(Shape(Kind.LINE, (250, 0, 250, 100)), WINDOW) is None
    assert clip_shape(Shape(Kind.LINE, (200, -10, 210, 10)), WINDOW) is None


def test_sides_that_cross_do_not_break_clipping() -> None:
    bow_tie = Shape(Kind.QUAD, (-10, 10, 50, 50, 50, 10, -10, 50))
    result = clip_shape(bow_tie, WINDOW)
    assert result is not None
    assert 0 < result.coverage < 1


class TestPredecessorCases:
    """Cases of the shared list; where they show the predecessor's bug, the correct value is tested."""

    def test_geo_hflip_in_edge_convention(self) -> None:
        assert move_shape(Shape(Kind.BBOX, (10, 10, 30, 30)), hflip(64)).xy == (34, 10, 54, 30)
        assert move_shape(Shape(Kind.LINE, (5, 5, 60, 40)), hflip(64)).xy == (4, 40, 59, 5)

    def test_geo_line_clip(self) -> None:
        result = clip_shape(Shape(Kind.LINE, (-10, 10, 10, 10, 60, 10, 60, 60)), (0, 0, 50, 50))
        assert result is not None
        assert result.shape.xy == (0, 10, 10, 10, 50, 10)

    def test_geo_cov_quarter(self) -> None:
        result = clip_shape(Shape(Kind.BBOX, (10, 10, 50, 50)), (30, 30, 70, 70))
        assert result is not None
        assert result.coverage == 0.25

    def test_geo_translate(self) -> None:
        by = translation(-5, -10)
        assert move_shape(Shape(Kind.BBOX, (10, 20, 50, 60)), by).xy == (5, 10, 45, 50)
        assert move_shape(Shape(Kind.QUAD, (10, 20, 50, 20, 50, 60, 10, 60)), by).xy == (5, 10, 45, 10, 45, 50, 5, 50)
        assert move_shape(Shape(Kind.LINE, (10, 20, 50, 60)), by).xy == (5, 10, 45, 50)

    def test_geo_winding(self) -> None:
        quad = Shape(Kind.QUAD, (10, 10, 40, 10, 40, 20, 10, 20))
        assert move_shape(quad, identity()).xy == quad.xy

    def test_geo_quad_canonical(self) -> None:
        quad = Shape(Kind.QUAD, (704, 487, 670, 554, 973, 644, 993, 590))
        assert move_shape(quad, identity()).xy == (704, 487, 993, 590, 973, 644, 670, 554)


def test_quarter_turns_keep_boxes() -> None:
    box = move_shape(Shape(Kind.BBOX, (10, 20, 30, 60)), rotation(90, (0, 0)))
    assert box.kind is Kind.BBOX
    assert box.xy == pytest.approx((-60, 10, -20, 30))
    assert move_shape(Shape(Kind.BBOX, (10, 20, 30, 60)), rotation(1)).kind is Kind.QUAD


def test_lengths_and_areas() -> None:
    assert polyline_length([(0, 0), (3, 4), (3, 5)]) == 6
    assert polygon_area([(0, 0), (0, 2), (3, 2), (3, 0)]) == 6
    assert math.isclose(polygon_area(move_points(((0, 0), (2, 0), (2, 2), (0, 2)), scaling(2, 3))), 24)
