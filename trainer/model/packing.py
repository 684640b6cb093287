"""Decides which samples share a batch: packed rows without padding, rows of similar length, or plain batches.

These are pure functions of lengths, seed and epoch. Every epoch has the same number of batches, a multiple of the number
of ranks, and uses each sample exactly once. So a run can resume, and two ranks equal one.
"""

from __future__ import annotations

import random
from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from trainer.order import epoch_order

WINDOW = 4096
"""Number of samples that are packed together; the order of windows stays random."""

BatchPlan = list[list[int]]
Key = tuple[int, int]
"""(index of the record, epoch): all that a data set needs to make a sample, in any process."""


def packed_plan(lengths: Sequence[int], budget: int, order: Sequence[int], seed: int = 0) -> BatchPlan:
    """Batches of at most ``budget`` tokens in random order, by best fit over windows of ``order``.

    A sample longer than the budget is a batch by itself.

    >>> sorted(map(sorted, packed_plan([6, 5, 4, 5], 10, [0, 1, 2, 3])))
    [[0, 2], [1, 3]]
    """
    # The longest samples are placed first, each into the fullest batch that still has room (best fit decreasing). Windows
    # keep batches random: sorted over all samples, the lengths alone would decide which samples meet, in every epoch.
    batches: BatchPlan = []
    for start in range(0, len(order), WINDOW):
        room: list[tuple[int, int]] = []  # (tokens left, batch), sorted
        for index in sorted(order[start : start + WINDOW], key=lambda i: -lengths[i]):
            place = bisect_left(room, (lengths[index], -1))  # -1 sorts before every batch with exactly this room
            if place == len(room):
                batches.append([index])
                insort(room, (budget - lengths[index], len(batches) - 1))
                continue
            left, batch = room.pop(place)
            batches[batch].append(index)
            insort(room, (left - lengths[index], batch))
    random.Random(f"{seed}/packed").shuffle(batches)  # else each window would begin with its longest samples
    return batches


def grouped_plan(lengths: Sequence[int], size: int, order: Sequence[int], seed: int = 0) -> BatchPlan:
    """Batches of ``size`` samples of similar length (sorted within 50 batches at a time), in random order.

    >>> sorted(map(sorted, grouped_plan([9, 1, 8, 2], 2, [0, 1, 2, 3])))
    [[0, 2], [1, 3]]
    """
    batches: BatchPlan = []
    for start in range(0, len(order), 50 * size):
        batches += plain_plan(size, sorted(order[start : start + 50 * size], key=lambda i: -lengths[i]))
    random.Random(f"{seed}/grouped").shuffle(batches)
    return batches


def plain_plan(size: int, order: Sequence[int]) -> BatchPlan:
    """Batches of ``size`` samples in the given order; the last one may be smaller.

    >>> plain_plan(2, [3, 1, 2])
    [[3, 1], [2]]
    """
    return [list(order[start : start + size]) for start in range(0, len(order), size)]


def fit_to_count(plan: BatchPlan, count: int) -> BatchPlan:
    """The same samples in exactly ``count`` batches: the largest are split, or the last are distributed over the others.

    >>> fit_to_count([[1, 2, 3], [4]], 3)
    [[1, 2], [4], [3]]

    Raises:
        ValueError: there are fewer samples than batches.
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
    """How a run's samples are batched. ``size`` is in tokens with ``packing``, else in samples.

    ``lengths`` are estimates: augmentation changes them per epoch.
    """

    lengths: Sequence[int]
    size: int
    packing: bool
    grouped: bool = False
    seed: int = 0
    shuffle: bool = True
    indices: Sequence[int] | None = None
    """The records to use (positions in ``lengths``); None: all."""

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
    """A seed for an epoch of a run.

    >>> epoch_seed(1, 2) == epoch_seed(1, 2)
    True
    """
    return seed * 1_000_003 + epoch


class BatchSampler:
    """Yields one rank's batches of an epoch as lists of ``Key``. All epochs and all ranks have the same number.

    The number of batches is rounded up to a multiple of the ranks by splitting batches. With too few samples for that, it
    is rounded down, and the surplus joins other batches.
    """

    def __init__(self, batching: Batching, *, rank: int = 0, world: int = 1) -> None:
        self.batching = batching
        self.epoch = 0
        self._rank, self._world = rank, world
        self._first = batching.plan(0)
        # Packing gives each epoch another number of batches. The schedule and a resumed run need a fixed one: epoch 0's.
        split, joined = (-(-len(self._first) // world) * world, len(self._first) // world * world)
        self._count = split if split <= sum(map(len, self._first)) else max(world, joined)

    def set_epoch(self, epoch: int) -> None:
        """Chooses the epoch of the next batches."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self._count // self._world

    def __iter__(self) -> Iterator[list[Key]]:
        plan = self._first if self.epoch == 0 else self.batching.plan(self.epoch)
        for batch in fit_to_count(plan, self._count)[self._rank :: self._world]:
            yield [(index, self.epoch) for index in batch]
