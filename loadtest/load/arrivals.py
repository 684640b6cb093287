"""Due times of requests: pure functions of rate, time and seed."""

from __future__ import annotations

import random


def poisson(rate_per_s: float, seconds: float, seed: int) -> list[float]:
    """The arrivals of a Poisson process within ``seconds``, ascending from 0, as of independent users.

    >>> [round(at, 2) for at in poisson(2.0, 2.0, seed=1)]
    [0.07, 1.01, 1.73, 1.88]
    """
    draw, moments, at = random.Random(seed), [], 0.0
    while (at := at + draw.expovariate(rate_per_s)) < seconds:
        moments.append(at)
    return moments


def even(rate_per_s: float, seconds: float) -> list[float]:
    """Arrivals at equal intervals, from 0.

    >>> even(2.0, 1.5)
    [0.0, 0.5, 1.0]
    """
    return [n / rate_per_s for n in range(round(rate_per_s * seconds))]
