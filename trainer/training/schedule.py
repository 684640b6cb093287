"""The learning rate over the steps of a run, as a share of each parameter group's peak."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LambdaLR

    from trainer.config import TrainingSection


def share(step: int, *, kind: str, warmup: int, total: int, floor: float = 0.0) -> float:
    """The share of the peak rate at ``step``: linear from 0 over ``warmup`` steps, then the schedule down to ``floor``.

    Cosine: floor + (1 - floor) · (1 + cos(π · progress)) / 2.

    >>> [round(share(s, kind="cosine", warmup=2, total=6, floor=0.1), 3) for s in range(7)]
    [0.0, 0.5, 1.0, 0.868, 0.55, 0.232, 0.1]
    """
    if step < warmup:
        return step / warmup
    progress = min((step - warmup) / max(1, total - warmup), 1.0)
    if kind.startswith("constant"):
        return 1.0
    if kind == "linear":
        return 1.0 - progress
    return floor + (1.0 - floor) * (1.0 + math.cos(math.pi * progress)) / 2


def warmup_steps(training: TrainingSection, total: int) -> int:
    """Number of warm-up steps: ``warmup_steps``, or ``warmup_ratio`` of all steps, rounded up."""
    return training.warmup_steps or math.ceil(training.warmup_ratio * total)


def scheduler(optimizer: Optimizer, training: TrainingSection, total: int) -> LambdaLR:
    """The schedule of a run of ``total`` steps. ``min_lr`` is absolute: every group ends at it, but never above its peak."""
    from torch.optim.lr_scheduler import LambdaLR

    warmup = warmup_steps(training, total)
    kind = training.lr_scheduler_type

    def of_group(peak: float) -> Callable[[int], float]:
        floor = floor_share(training, peak)
        return lambda step: share(step, kind=kind, warmup=warmup, total=total, floor=floor)

    return LambdaLR(optimizer, [of_group(group["lr"]) for group in optimizer.param_groups])


def floor_share(training: TrainingSection, peak: float) -> float:
    """The share of ``peak`` at which a group's cosine ends; 0 for schedules without a floor."""
    options = training.lr_scheduler_kwargs
    if not training.lr_scheduler_type.endswith("with_min_lr"):
        return 0.0
    if options.min_lr_rate is not None:
        return options.min_lr_rate
    return min(1.0, (options.min_lr or 0.0) / peak)
