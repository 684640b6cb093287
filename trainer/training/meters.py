"""The means in the logs: sums over tokens since the last log line, over all ranks."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

_MEANS = {
    "sft_loss": ("loss_total", "tokens"),
    "token_acc": ("correct", "tokens"),
    "llm_kd_loss": ("llm_kd_total", "distilled_tokens"),
    "vision_kd_loss": ("vision_kd_total", "image_tokens"),
}
"""Metric → the two sums of ``TrainingOutput`` whose quotient it is."""

_SUMS = tuple(dict.fromkeys(name for pair in _MEANS.values() for name in pair))


class Meters:
    """The sums of one rank. ``over_ranks`` adds up a vector over all ranks."""

    def __init__(self, over_ranks: Callable[[torch.Tensor], list[float]], device: torch.device) -> None:
        self._over_ranks = over_ranks
        self._sums = torch.zeros(len(_SUMS), dtype=torch.float64, device=device)

    def add(self, outputs: Any) -> None:
        """Adds one batch's ``TrainingOutput`` without waiting for the device."""
        zero = self._sums.new_zeros(())
        found = [outputs.get(name) for name in _SUMS]
        self._sums = self._sums + torch.stack([zero if value is None else value.double() for value in found])

    def are_finite(self) -> bool:
        """Whether every sum over all ranks is a finite number."""
        return all(map(math.isfinite, self._over_ranks(self._sums)))

    def means(self) -> dict[str, float]:
        """The means per token of every metric with a count above 0. Resets all sums."""
        sums = dict(zip(_SUMS, self._over_ranks(self._sums), strict=True))
        self._sums = torch.zeros_like(self._sums)
        return {name: sums[total] / sums[count] for name, (total, count) in _MEANS.items() if sums[count]}
