"""Quantiles of latencies."""

from __future__ import annotations

from collections.abc import Sequence


def quantile(ascending: Sequence[float], q: float) -> float:
    """The value below which the share ``q`` (0 to 1) of the values lies, linear between neighbours (Hyndman-Fan 7).

    >>> quantile([1.0, 2.0, 3.0, 4.0], 0.5)
    2.5

    Raises:
        ValueError: no values, or ``q`` outside 0..1.
    """
    if not ascending or not 0 <= q <= 1:
        raise ValueError(f"quantile {q!r} of {len(ascending)} values; needs 0 <= q <= 1 and at least one value")
    at = q * (len(ascending) - 1)
    below = int(at)
    above = min(below + 1, len(ascending) - 1)
    return ascending[below] + (ascending[above] - ascending[below]) * (at - below)
