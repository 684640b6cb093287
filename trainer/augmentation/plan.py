"""What augmentation will do to one photo: every random choice is made before any pixel changes.

An ``AugmentationPlan`` holds the pixel steps in order, the resulting labels and the telemetry. Applying it is pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from PIL import Image

from vqc.caption import CaptionObject
from vqc.geometry import SizeWH

PixelStep = Callable[[Image.Image], Image.Image]
"""RGB in, RGB out; deterministic and picklable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Telemetry:
    """What was done to a sample.

    ``kept_indices`` are the record's positions of the remaining objects, ``coverages`` the visible share of each, in the
    same order. ``padding_ratio`` is the share of the picture that shows no photo. ``skips`` counts skipped operations by
    reason.
    """

    bypassed: bool = False
    applied: tuple[str, ...] = ()
    kept_indices: tuple[int, ...] = ()
    coverages: tuple[float, ...] = ()
    padding_ratio: float = 0.0
    skips: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class AugmentationPlan:
    """Pixel steps in order, and the objects (in reading order) and the size in px of the result."""

    steps: tuple[PixelStep, ...]
    objects: tuple[CaptionObject, ...]
    size_wh: SizeWH
    telemetry: Telemetry

    def apply(self, image: Image.Image) -> Image.Image:
        """The photo after every step."""
        for step in self.steps:
            image = step(image)
        return image
