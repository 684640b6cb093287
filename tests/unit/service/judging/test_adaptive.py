from fractions import Fraction
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.judging.adaptive import can_stop, incomplete_beta, majority_certainty
from service.judging.selection import majority
from vqc.errors import InvalidValue

COUNT = st.integers(0, 20)


@given(COUNT, COUNT)
def test_the_posterior_is_the_integrated_density(passes, fails):
    """∫_½^1 p^a (1-p)^b dp / B, with the polynomial expanded and integrated term by term."""
    a, b = max(passes, fails), min(passes, fails)
    terms = [Fraction((-1) ** j * comb(b, j), a + j + 1) for j in range(b + 1)]
    whole = sum(terms)
    above = sum(term * (1 - Fraction(1, 2 ** (a + j + 1))) for j, term in enumerate(terms))
    assert majority_certainty(passes, fails) == float(above / whole)


@given(st.integers(1, 12), st.integers(1, 12), st.fractions(0, 1, max_denominator=50))
def test_the_incomplete_beta_mirrors(a, b, x):
    assert incomplete_beta(a, b, x) + incomplete_beta(b, a, 1 - x) == 1


@pytest.mark.parametrize("n", range(8))
def test_agreement_has_a_closed_form(n):
    assert majority_certainty(n, 0) == majority_certainty(0, n) == 1 - 2 ** -(n + 1)


@given(COUNT, COUNT, st.integers(0, 10))
def test_a_vote_that_can_still_turn_is_not_called_settled(passes, fails, remaining):
    settled = can_stop(passes, fails, threshold=1 - 1e-15, remaining=remaining)
    turns = {majority(passes + more, fails + remaining - more) for more in range(remaining + 1)}
    certain = majority_certainty(passes, fails) > 1 - 1e-15
    assert settled is (len(turns) == 1 and passes + fails > 0) or remaining == 0 or certain


def test_nothing_seen_is_never_enough():
    assert not can_stop(0, 0, threshold=0.5, remaining=4)


@pytest.mark.parametrize("arguments", [(-1, 0, 0.9, 1), (0, 0, 1.0, 1), (0, 0, 0.2, 1)])
def test_impossible_counts_and_thresholds_are_rejected(arguments):
    passes, fails, threshold, remaining = arguments
    with pytest.raises(InvalidValue):
        can_stop(passes, fails, threshold=threshold, remaining=remaining)


def test_a_beta_needs_whole_positive_parameters():
    with pytest.raises(InvalidValue):
        incomplete_beta(0, 1, Fraction(1, 2))
