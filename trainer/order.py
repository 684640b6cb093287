"""The order of samples in an epoch, as a pure function: every process and every resumed run computes the same one."""

from __future__ import annotations

import random


def epoch_order(seed: int, epoch: int, count: int, purpose: str) -> list[int]:
    """A permutation of 0..count-1 for this seed and epoch; each ``purpose`` has its own.

    >>> sorted(epoch_order(7, 0, 5, "records"))
    [0, 1, 2, 3, 4]
    >>> epoch_order(7, 0, 5, "records") == epoch_order(7, 1, 5, "records")
    False
    """
    order = list(range(count))
    random.Random(f"{seed}/{epoch}/{purpose}").shuffle(order)
    return order
