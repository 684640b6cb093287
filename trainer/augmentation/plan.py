"""What augmentation will do to one photo: the outcome of every draw, before any pixel is touched.

A ``AugmentationPlan`` holds the pixel steps in order, the labels as they will be, and the telemetry. Applying it is pure.
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
    """What happened to a sample.

    ``kept_indices`` are the positions, in the record, of the objects that are left, ``coverages`` the share of each
    that is still visible, in the same order. ``padding_ratio`` is the share of the picture that shows no photo.
    ``skips`` counts operations that were drawn and left out, by reason.
    """

    bypassed: bool = False
    applied: tuple[str, ...] = ()
    kept_indices: tuple[int, ...] = ()
    coverages: tuple[float, ...] = ()
    padding_ratio: float = 0.0
    skips: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class AugmentationPlan:
    """Steps for the pixels, and the labels and size in px that belong to the result. Objects are in reading order."""

    steps: tuple[PixelStep, ...]
    objects: tuple[CaptionObject, ...]
    size_wh: SizeWH
    telemetry: Telemetry

    def apply(self, image: Image.Image) -> Image.Image:
        """The photo after every step."""
        for step in self.steps:
            image = step(image)
        return image
