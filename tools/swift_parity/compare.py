"""The differences between two encodings of a sample, and which of them are expected.

Needs neither torch nor ms-swift. Axes: N patches, X values of a patch (channels × frames × pixels), -1 to 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tools.swift_parity.samples import Fit

IGNORED = -100
GREY_LEVELS = 127.5
"""Grey levels in one unit of a pixel value, which runs from -1 to 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInput:
    """A sample as a model receives it: token ids, labels (-100: not trained) and float32 patches pixels_NX."""

    ids: Sequence[int]
    labels: Sequence[int]
    pixels_NX: np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """The largest expected differences: pixels in grey levels (maximum and mean), loss in nats per token."""

    levels: float
    mean_levels: float
    loss: float


EXACT = Bounds(levels=0.0, mean_levels=0.0, loss=1e-5)
RESAMPLED = Bounds(levels=4.5, mean_levels=0.2, loss=5e-4)
"""ms-swift resizes with Pillow, transformers' processor with torchvision: bicubic both, rounded differently."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParityRow:
    """A sample in both trainers. ``loss`` is ours, ``loss_answer`` and ``loss_newline`` ms-swift's without and with
    the newline. ``levels`` and ``mean_levels`` are None without pixels, and if their numbers differ."""

    name: str
    fit: Fit
    ours: ModelInput
    theirs: ModelInput
    loss: float
    loss_answer: float
    loss_newline: float

    @property
    def has_same_tokens(self) -> bool:
        """Whether ms-swift's ids are ours and one more."""
        return list(self.theirs.ids[:-1]) == list(self.ours.ids)

    @property
    def levels(self) -> float | None:
        """The largest difference of a pixel in grey levels."""
        difference = self._difference()
        return None if difference is None else float(difference.max())

    @property
    def mean_levels(self) -> float | None:
        """The mean difference of a pixel in grey levels."""
        difference = self._difference()
        return None if difference is None else float(difference.mean())

    def _difference(self) -> np.ndarray | None:
        ours, theirs = self.ours.pixels_NX, self.theirs.pixels_NX
        if ours.shape != theirs.shape or not ours.size:
            return None
        return np.abs(ours - theirs) * GREY_LEVELS


def expected_bounds(fit: Fit, *, limits: bool) -> Bounds | None:
    """The bounds of a sample's differences; None if a different number of tokens is expected.

    With ``limits``, ms-swift uses the checkpoint's pixel limits; otherwise its own: 4 and 16,384 tokens.
    """
    if fit in (Fit.UNTOUCHED, Fit.NONE):
        return EXACT
    return RESAMPLED if limits or fit is Fit.ROUNDED else None


def unexpected_differences(row: ParityRow, newline: int, *, limits: bool) -> list[str]:
    """The unexpected differences, a sentence each. ``newline`` is the token that ms-swift trains after ``<|im_end|>``."""
    found = []
    if trained_labels(row.theirs) != [*trained_labels(row.ours), newline]:
        found.append("ms-swift does not train exactly our labels and one newline")
    bounds = expected_bounds(row.fit, limits=limits)
    if bounds is None:
        if row.has_same_tokens:
            found.append("the tokens are the same, though ms-swift has limits of its own")
        return [f"{row.name}: {sentence}" for sentence in found]
    if not row.has_same_tokens:
        found.append(f"{len(row.ours.ids)} tokens of ours are not the first of ms-swift's {len(row.theirs.ids)}")
    elif list(row.theirs.labels[:-1]) != list(row.ours.labels):
        found.append("the same tokens are labelled differently")
    if row.ours.pixels_NX.shape != row.theirs.pixels_NX.shape:
        found.append(f"patches {row.ours.pixels_NX.shape!r} differ from {row.theirs.pixels_NX.shape!r}")
    if (row.levels or 0) > bounds.levels + 1e-3 or (row.mean_levels or 0) > bounds.mean_levels + 1e-6:
        found.append(f"pixels differ by up to {row.levels:.2f} grey levels, {row.mean_levels:.4f} in the mean")
    if not abs(row.loss - row.loss_answer) <= bounds.loss:
        found.append(f"the loss {row.loss:.6f} differs from {row.loss_answer:.6f} by more than {bounds.loss}")
    return [f"{row.name}: {sentence}" for sentence in found]


def trained_labels(model_input: ModelInput) -> list[int]:
    """The labels of trained tokens."""
    return [label for label in model_input.labels if label != IGNORED]
