"""The search for the highest rate."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from loadtest.load.search import PRECISION, highest_met


@given(st.floats(0.02, 500), st.floats(0.5, 50))
async def test_the_search_comes_within_its_precision_of_the_truth(truth: float, first: float) -> None:
    tried: list[float] = []

    async def meets(rate: float) -> bool:
        tried.append(rate)
        return rate <= truth

    found = await highest_met(first, meets)
    if truth < first / 64:
        assert found is None or found <= truth * 1.01
    else:
        assert found is not None
        assert truth / PRECISION <= found * 1.01
        assert found <= truth * 1.01
    assert len(tried) <= 16
