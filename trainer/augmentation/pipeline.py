"""A sequence of operations: sampled first, as an ``AugmentationPlan``; the plan then changes the pixels.

Affine operations are multiplied and applied in one resampling at the next barrier (expand, pad, resize, crop) or at the
end. Colours come last, in their own order. Geometry and colour have separate random sources, so an added colour
operation never moves a label.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from trainer.augmentation.affine import sample_matrix
from trainer.augmentation.canvas import apply_barrier, apply_pending, new_canvas
from trainer.augmentation.color import sample_step
from trainer.augmentation.labels import Label
from trainer.augmentation.plan import AugmentationPlan, PixelStep, Telemetry
from trainer.config.augmentation import (
    CropOp,
    ExpandOp,
    HFlipOp,
    OpConfig,
    PadOp,
    ResizeOp,
    RotateOp,
    ScaleOp,
    VFlipOp,
)
from vqc.caption import CaptionObject, in_reading_order
from vqc.geometry import SizeWH

_AFFINE = (HFlipOp, VFlipOp, RotateOp, ScaleOp)
_BARRIERS = (ExpandOp, PadOp, ResizeOp, CropOp)
_CHANGE_LAYOUT = (HFlipOp, VFlipOp, RotateOp, ScaleOp, CropOp)
"""Operations that may drop objects or change their reading order."""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Operations in order. ``bypass_prob`` is the share of samples that stay unchanged."""

    ops: Sequence[OpConfig]
    bypass_prob: float = 0.0

    def plan(
        self,
        objects: Sequence[CaptionObject],
        size_wh: SizeWH,
        rng: random.Random,
        *,
        keep_layout: bool = False,
    ) -> AugmentationPlan:
        """Samples everything that will be done to a photo of ``size_wh`` px with these objects (px).

        ``keep_layout`` skips every operation that may drop or reorder objects, for answers that cannot be rewritten.
        """
        bypass, geometry, color = rng.random(), random.Random(rng.getrandbits(64)), random.Random(rng.getrandbits(64))
        labels = tuple(Label(index=n, shape=item.shape, desc=item.desc) for n, item in enumerate(objects))
        canvas = new_canvas(size_wh, labels)
        if bypass < self.bypass_prob:
            return _make_plan(canvas.steps, canvas.labels, size_wh, Telemetry(bypassed=True))
        applied: list[str] = []
        skips: Counter[str] = Counter()
        colors: list[PixelStep] = []
        for op in self.ops:
            if keep_layout and isinstance(op, _CHANGE_LAYOUT):
                skips["layout"] += 1
                continue
            if isinstance(op, _AFFINE):
                matrix = sample_matrix(op, canvas.size_wh, geometry)
                if matrix is not None:
                    canvas = replace(canvas, pending=matrix @ canvas.pending)
                    applied.append(op.name)
            elif isinstance(op, _BARRIERS):
                canvas, reason = apply_barrier(canvas, op, geometry)
                if reason is None:
                    applied.append(op.name)
                elif reason != "prob":
                    skips[reason] += 1
            else:
                step = sample_step(op, color)
                if step is not None:
                    colors.append(step)
                    applied.append(op.name)
        canvas = apply_pending(canvas)
        telemetry = Telemetry(applied=tuple(applied), padding_ratio=canvas.padding_ratio, skips=dict(skips))
        return _make_plan((*canvas.steps, *colors), canvas.labels, canvas.size_wh, telemetry)


def _make_plan(
    steps: tuple[PixelStep, ...], labels: tuple[Label, ...], size_wh: SizeWH, telemetry: Telemetry
) -> AugmentationPlan:
    return AugmentationPlan(
        steps=steps,
        objects=tuple(in_reading_order(label.as_object() for label in labels)),
        size_wh=size_wh,
        telemetry=replace(
            telemetry,
            kept_indices=tuple(label.index for label in labels),
            coverages=tuple(label.coverage for label in labels),
        ),
    )
