"""Arrivals: pure functions of rate, time and seed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from loadtest.load.arrivals import even, poisson


@given(st.floats(0.5, 200), st.integers(0, 1000))
def test_poisson_arrivals_ascend_within_the_time_and_come_at_the_rate(rate: float, seed: int) -> None:
    seconds = 400 / rate
    moments = poisson(rate, seconds, seed)
    assert moments == sorted(moments)
    assert all(0 < at < seconds for at in moments)
    assert abs(len(moments) - 400) < 6 * 20  # six standard deviations
    assert moments == poisson(rate, seconds, seed)


def test_even_arrivals_are_at_equal_distances() -> None:
    assert even(4.0, 1.0) == [0.0, 0.25, 0.5, 0.75]
