"""The generation knobs that a caller may set, checked before anything loads or runs."""

from __future__ import annotations

import math
from dataclasses import dataclass

from engine.protocol import Sampling
from vqc.errors import InvalidValue

LARGEST_ANSWER = 8192
"""Most tokens of one answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Knobs:
    """How an answer is decoded. The defaults are deterministic; ``max_new_tokens`` counts the answer's tokens only.

    Raises:
        InvalidValue: a knob out of its range, named with the range.
    """

    max_new_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    repetition_penalty: float = 1.0
    seed: int | None = None

    def __post_init__(self) -> None:
        _check(
            "max_new_tokens", self.max_new_tokens, 1 <= self.max_new_tokens <= LARGEST_ANSWER, f"1 to {LARGEST_ANSWER}"
        )
        _check("temperature", self.temperature, 0 <= self.temperature <= 2, "0 to 2")
        _check("top_p", self.top_p, 0 < self.top_p <= 1, "above 0, at most 1")
        _check("repetition_penalty", self.repetition_penalty, 0 < self.repetition_penalty <= 2, "above 0, at most 2")
        _check("seed", self.seed, self.seed is None or 0 <= self.seed < 2**31, "0 to 2147483647")

    def sampling(self, n: int = 1) -> Sampling:
        """The same knobs as the engine takes them."""
        return Sampling(
            max_tokens=self.max_new_tokens,
            temperature=self.temperature,
            top_p=self.top_p,
            repetition_penalty=self.repetition_penalty,
            seed=self.seed,
            n=n,
        )


def _check(field: str, value: float | None, in_range: bool, valid: str) -> None:
    if not in_range or (value is not None and not math.isfinite(value)):
        raise InvalidValue(field, value, f"valid: {valid}")
