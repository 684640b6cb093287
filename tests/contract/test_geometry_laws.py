"""Law 3: the way to norm1000 and back moves a point by at most half a step."""

from hypothesis import given
from hypothesis import strategies as st

from vqc.geometry import Kind, Shape, to_norm1000, to_pixels

SIDE = st.integers(1, 12000)


@given(SIDE, SIDE, st.data())
def test_norm1000_is_within_half_a_step(width, height, data):
    xs = data.draw(st.lists(st.floats(0, width), min_size=2, max_size=2))
    ys = data.draw(st.lists(st.floats(0, height), min_size=2, max_size=2))
    shape = Shape(Kind.LINE, (xs[0], ys[0], xs[1], ys[1]))
    back = to_pixels(to_norm1000(shape, (width, height)), (width, height))
    for (x, y), (x_back, y_back) in zip(shape.points, back.points, strict=True):
        assert abs(x - x_back) <= width / 2000 * (1 + 1e-9)
        assert abs(y - y_back) <= height / 2000 * (1 + 1e-9)


@given(st.lists(st.integers(0, 1000), min_size=8, max_size=8), SIDE, SIDE)
def test_norm1000_survives_the_way_to_pixels_and_back(xy, width, height):
    shape = Shape(Kind.QUAD, tuple(xy))
    assert to_norm1000(to_pixels(shape, (width, height)), (width, height)) == shape
