"""Which samples share a batch: rows filled without padding, or rows of similar length.

Pure functions of lengths, seed and epoch. Every plan of a run has the same number of batches, a multiple of the number
of ranks, and uses each sample exactly once; that is what lets a run resume, and two ranks equal one.
"""

from __future__ import annotations

import random
from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from trainer.order import epoch_order

WINDOW = 4096
"""Samples that are packed together; the order of windows stays random."""

BatchPlan = list[list[int]]
Key = tuple[int, int]
"""(index of the record, epoch): what a dataset needs to make a sample, whichever process asks."""


def packed_plan(lengths: Sequence[int], budget: int, order: Sequence[int], seed: int = 0) -> BatchPlan:
    """Batches of at most ``budget`` tokens, by best fit over windows of ``order``, in random order.

    A sample longer than the budget is a batch of its own.

    >>> sorted(map(sorted, packed_plan([6, 5, 4, 5], 10, [0, 1, 2, 3])))
    [[0, 2], [1, 3]]
    """
    batches: BatchPlan = []
    for start in range(0, len(order), WINDOW):
        room: list[tuple[int, int]] = []  # (tokens left, batch), sorted
        for index in sorted(order[start : start + WINDOW], key=lambda i: -lengths[i]):
            place = bisect_left(room, (lengths[index], -1))
            if place == len(room):
                batches.append([index])
                insort(room, (budget - lengths[index], len(batches) - 1))
                continue
            left, batch = room.pop(place)
            batches[batch].append(index)
            insort(room, (left - lengths[index], batch))
    random.Random(f"{seed}/packed").shuffle(batches)
    return batches


def grouped_plan(lengths: Sequence[int], size: int, order: Sequence[int], seed: int = 0) -> BatchPlan:
    """Batches of ``size`` samples of similar length (sorted over 50 batches at a time), in random order.

    >>> sorted(map(sorted, grouped_plan([9, 1, 8, 2], 2, [0, 1, 2, 3])))
    [[0, 2], [1, 3]]
    """
    batches: BatchPlan = []
    for start in range(0, len(order), 50 * size):
        batches += plain_plan(size, sorted(order[start : start + 50 * size], key=lambda i: -lengths[i]))
    random.Random(f"{seed}/grouped").shuffle(batches)
    return batches


def plain_plan(size: int, order: Sequence[int]) -> BatchPlan:
    """Batches of ``size`` samples in the order given; the last may be smaller.

    >>> plain_plan(2, [3, 1, 2])
    [[3, 1], [2]]
    """
    return [list(order[start : start + size]) for start in range(0, len(order), size)]


def fit_to_count(plan: BatchPlan, count: int) -> BatchPlan:
    """The same samples in exactly ``count`` batches: the largest are split, or the smallest joined to others.

    >>> fit_to_count([[1, 2, 3], [4]], 3)
    [[1, 2], [4], [3]]

    Raises:
        ValueError: fewer samples than batches.
    """
    if sum(map(len, plan)) < count:
        raise ValueError(f"{sum(map(len, plan))} samples cannot fill {count} batches; use fewer devices or more data")
    batches = [list(batch) for batch in plan]
    while len(batches) < count:
        largest = max(batches, key=len)
        half = (len(largest) + 1) // 2
        batches.append(largest[half:])
        del largest[half:]
    if len(batches) > count:
        batches, surplus = batches[:count], batches[count:]
        for position, index in enumerate(index for batch in surplus for index in batch):
            batches[position % count].append(index)
    return batches


@dataclass(frozen=True, slots=True, kw_only=True)
class Batching:
    """How a run's samples are batched. ``size`` is tokens when ``packing``, else samples; ``lengths`` are estimates."""

    lengths: Sequence[int]
    size: int
    packing: bool
    grouped: bool = False
    seed: int = 0
    shuffle: bool = True
    indices: Sequence[int] | None = None
    """The records in use (positions in ``lengths``); None: all."""

    def plan(self, epoch: int) -> BatchPlan:
        """The batches of an epoch over all ranks."""
        used = range(len(self.lengths)) if self.indices is None else self.indices
        order = [
            used[i] for i in (epoch_order(self.seed, epoch, len(used), "batches") if self.shuffle else range(len(used)))
        ]
        seed = epoch_seed(self.seed, epoch)
        if self.packing:
            return packed_plan(self.lengths, self.size, order, seed)
        return grouped_plan(self.lengths, self.size, order, seed) if self.grouped else plain_plan(self.size, order)


def epoch_seed(seed: int, epoch: int) -> int:
    """One number for a seed and an epoch.

    >>> epoch_seed(1, 2) == epoch_seed(1, 2)
    True
    """
    return seed * 1_000_003 + epoch


class BatchSampler:
    """Yields one rank's batches of an epoch as lists of ``Key``; every epoch has as many as epoch 0, every rank too.

    Batches too few for the ranks are split. Where there are no samples for that, the odd ones join the other batches.
    """

    def __init__(self, batching: Batching, *, rank: int = 0, world: int = 1) -> None:
        self.batching = batching
        self.epoch = 0
        self._rank, self._world = rank, world
        self._first = batching.plan(0)
        split, joined = (-(-len(self._first) // world) * world, len(self._first) // world * world)
        self._count = split if split <= sum(map(len, self._first)) else max(world, joined)

    def set_epoch(self, epoch: int) -> None:
        """Chooses the epoch whose batches come next."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self._count // self._world

    def __iter__(self) -> Iterator[list[Key]]:
        plan = self._first if self.epoch == 0 else self.batching.plan(self.epoch)
        for batch in fit_to_count(plan, self._count)[self._rank :: self._world]:
            yield [(index, self.epoch) for index in batch]
