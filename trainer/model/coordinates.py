"""Soft targets for coordinates: spread over neighbouring numbers, for vocabularies in which 0 to 1000 are tokens.

To plain cross-entropy 501 is as wrong as 17 where 500 is right, so every number must be learned separately. A Gaussian
around the right number makes near misses cheaper, as in label distribution learning (Geng 2016). Other numbers (counts,
the number of points of a line, names) keep hard targets: only a coordinate follows ``[`` or ``, `` in a list.

Axes: S supervised positions, V vocabulary, W window of neighbours.
"""

from __future__ import annotations

import math
from typing import Any

import torch

from vqc.errors import InvalidValue
from vqc.geometry import NORM

NUMBERS = NORM + 1
REACH = 3
"""Number of standard deviations on either side that a target covers."""


class CoordinateTargets:
    """Soft targets of standard deviation ``sigma`` (norm1000 units) for one tokenizer."""

    def __init__(self, number_ids_1001: torch.Tensor, opens_V: torch.Tensor, sigma: float) -> None:
        self._ids = number_ids_1001
        self._opens_V = opens_V
        self._value_V = torch.full_like(opens_V, -1, dtype=torch.long)
        self._value_V[number_ids_1001] = torch.arange(NUMBERS)
        reach = max(1, math.ceil(REACH * sigma))
        self._offsets_W = torch.arange(-reach, reach + 1)
        self._weights_W = torch.exp(-0.5 * (self._offsets_W / sigma) ** 2)

    @classmethod
    def of(cls, tokenizer: Any, sigma: float) -> CoordinateTargets:
        """The targets for a Hugging Face tokenizer.

        Raises:
            InvalidValue: not every number from 0 to 1000 is one token of its vocabulary.
        """
        ids = [tokenizer.backend_tokenizer.token_to_id(str(value)) for value in range(NUMBERS)]
        if None in ids:
            raise InvalidValue(
                "training.coordinate_sigma",
                sigma,
                f"must be 0 for this checkpoint: its vocabulary has no token for the number {ids.index(None)}",
            )
        opens_V = torch.zeros(len(tokenizer), dtype=torch.bool)
        for token_id in range(len(tokenizer)):
            text = tokenizer.decode([token_id])
            opens_V[token_id] = text == ", " or text.endswith("[")
        return cls(torch.tensor(ids), opens_V, sigma)

    def on(self, device: torch.device) -> CoordinateTargets:
        """Moves the tables to a device and returns itself."""
        for name, value in vars(self).items():
            if value.device != device:
                setattr(self, name, value.to(device))
        return self

    def spread(self, labels_S: torch.Tensor, before_S: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(ids_SW, weights_SW): the target distribution of each position. Weights sum to 1; a hard target has all on itself.

        ``before_S`` is the token before each label.
        """
        value_S = self._value_V[labels_S]
        soft_S = (value_S >= 0) & self._opens_V[before_S]
        neighbour_SW = value_S[:, None] + self._offsets_W
        inside_SW = (neighbour_SW >= 0) & (neighbour_SW < NUMBERS)
        weights_SW = self._weights_W * inside_SW
        # At 0 and 1000 part of the Gaussian lies outside: the rest is scaled up to 1. Rows that are no number have no
        # weight at all; clamping keeps them finite until ``where`` replaces them.
        weights_SW = weights_SW / weights_SW.sum(1, keepdim=True).clamp(min=1e-9)
        ids_SW = self._ids[neighbour_SW.clamp(0, NUMBERS - 1)]
        itself_W = (self._offsets_W == 0).to(weights_SW.dtype)
        return (
            torch.where(soft_S[:, None], ids_SW, labels_S[:, None]),
            torch.where(soft_S[:, None], weights_SW, itself_W),
        )
