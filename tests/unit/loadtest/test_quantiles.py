"""Quantiles."""

from __future__ import annotations

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.quantiles import quantile


@given(st.lists(st.floats(0, 1e6), min_size=2, max_size=50))
def test_the_quantiles_are_those_of_the_standard_library(values: list[float]) -> None:
    ascending = sorted(values)
    expected = statistics.quantiles(ascending, n=100, method="inclusive")
    assert [quantile(ascending, q / 100) for q in range(1, 100)] == pytest.approx(expected)
    assert (quantile(ascending, 0), quantile(ascending, 1)) == (ascending[0], ascending[-1])


@pytest.mark.parametrize(("values", "q"), [([], 0.5), ([1.0], 1.1), ([1.0], -0.1)])
def test_a_quantile_of_nothing_or_outside_is_refused(values: list[float], q: float) -> None:
    with pytest.raises(ValueError, match="quantile"):
        quantile(values, q)
