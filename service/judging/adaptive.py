"""Adaptive stop: sampling of a ticket ends when its majority is almost certain or can no longer change."""

from __future__ import annotations

from fractions import Fraction
from math import comb

from vqc.errors import InvalidValue


def incomplete_beta(a: int, b: int, x: Fraction) -> Fraction:
    """The regularised incomplete beta function I_x(a, b) for whole a, b ≥ 1, exactly.

    I_x(a, b) = Σ_{j=a}^{a+b-1} C(a+b-1, j) x^j (1-x)^{a+b-1-j} (DLMF 8.17.5).

    >>> incomplete_beta(2, 1, Fraction(1, 2))
    Fraction(1, 4)

    Raises:
        InvalidValue: a parameter below 1 or ``x`` outside 0 to 1.
    """
    if min(a, b) < 1 or not 0 <= x <= 1:
        raise InvalidValue("(a, b, x)", (a, b, x), "a and b must be at least 1, x 0 to 1")
    n = a + b - 1
    return sum((comb(n, j) * x**j * (1 - x) ** (n - j) for j in range(a, n + 1)), Fraction(0))


def majority_certainty(passes: int, fails: int) -> float:
    """The posterior probability that the leading verdict is the model's more likely answer, under a uniform prior.

    The share of the leading verdict is Beta(lead + 1, rest + 1); this is its mass above one half.

    >>> majority_certainty(3, 0), majority_certainty(2, 2)
    (0.9375, 0.5)
    """
    lead, rest = max(passes, fails), min(passes, fails)
    return float(1 - incomplete_beta(lead + 1, rest + 1, Fraction(1, 2)))


def can_stop(passes: int, fails: int, *, threshold: float, remaining: int) -> bool:
    """Whether the rest of the plan can be skipped: the majority's certainty exceeds ``threshold``, or the ``remaining``
    votes cannot change the majority (a tie is 不通过).

    >>> can_stop(4, 0, threshold=0.95, remaining=8), can_stop(2, 1, threshold=0.95, remaining=3)
    (True, False)

    Raises:
        InvalidValue: negative counts, or a threshold that is not at least 0.5 and below 1.
    """
    if min(passes, fails, remaining) < 0:
        raise InvalidValue("(passes, fails, remaining)", (passes, fails, remaining), "must not be negative")
    if not 0.5 <= threshold < 1:
        raise InvalidValue("sampler.adaptive", threshold, "valid: 0.5 up to but not including 1")
    # 通过 needs a strict majority, so an open vote can settle on 不通过 one vote earlier than on 通过.
    settled = passes > fails + remaining or fails >= passes + remaining
    return settled or majority_certainty(passes, fails) > threshold
