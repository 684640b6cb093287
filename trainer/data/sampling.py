"""Random choices of a sample, as pure functions of (seed, epoch, index): no worker and no order of calls changes them."""

from __future__ import annotations

import random
from collections.abc import Sequence

from trainer.data.records import Task
from vqc.missions import Mission


def sample_random(seed: int, epoch: int, index: int, purpose: str) -> random.Random:
    """A separate random source for each purpose of each sample in each epoch.

    >>> sample_random(1, 0, 5, "crop").random() == sample_random(1, 0, 5, "crop").random()
    True
    """
    return random.Random(f"{seed}/{epoch}/{index}/{purpose}")


def photo_task(seed: int, epoch: int, index: int, summary_share: float) -> Task:
    """Whether a photo's sample trains its caption or its Stage-A line; ``summary_share`` is the probability of the line.

    >>> photo_task(1, 0, 0, 0.0), photo_task(1, 0, 0, 1.0)
    (<Task.DENSE: 'dense'>, <Task.STAGE_A: 'stage_a'>)
    """
    return Task.STAGE_A if sample_random(seed, epoch, index, "task").random() < summary_share else Task.DENSE


def sample_mission(seed: int, epoch: int, index: int, missions: Sequence[Mission]) -> Mission:
    """The mission in whose prompt a photo is summarised, if its record names none."""
    return sample_random(seed, epoch, index, "mission").choice(missions)
