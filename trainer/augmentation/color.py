"""Colour operations: each samples its amounts and returns the step that applies them. Labels never change."""

from __future__ import annotations

import random
from functools import partial

from trainer.augmentation import pixels
from trainer.augmentation.plan import PixelStep
from trainer.config.augmentation import (
    AutoContrastOp,
    ClaheOp,
    GammaOp,
    HsvOp,
    JitterOp,
    PosterizeOp,
    SharpnessOp,
    SolarizeOp,
)

ColorOp = JitterOp | GammaOp | HsvOp | ClaheOp | AutoContrastOp | SolarizeOp | PosterizeOp | SharpnessOp


def sample_step(op: ColorOp, rng: random.Random) -> PixelStep | None:
    """The operation with sampled amounts; None when its probability skips it."""
    # Always the same number of draws, so that no operation or outcome shifts the numbers of a later one.
    chance, draws = rng.random(), tuple(rng.random() for _ in range(3))
    if chance >= op.params.prob:
        return None

    def within(bounds: tuple[float, float], n: int = 0) -> float:
        return bounds[0] + draws[n] * (bounds[1] - bounds[0])

    match op:
        case JitterOp(params=p):
            return partial(
                pixels.jitter,
                brightness=within(p.brightness),
                contrast=within(p.contrast, 1),
                saturation=within(p.saturation, 2),
            )
        case GammaOp(params=p):
            return partial(pixels.correct_gamma, gamma=within(p.gamma), gain=p.gain)
        case HsvOp(params=p):
            return partial(
                pixels.shift_hsv,
                hue_deg=within(p.hue_delta_deg),
                saturation=within(p.sat, 1),
                value=within(p.val, 2),
            )
        case ClaheOp(params=p):
            return partial(pixels.equalise, clip_limit=p.clip_limit, tiles=p.tile_grid_size)
        case AutoContrastOp(params=p):
            return partial(pixels.stretch_contrast, cutoff=p.cutoff)
        case SolarizeOp(params=p):
            return partial(pixels.solarize, threshold=p.threshold)
        case PosterizeOp(params=p):
            return partial(pixels.posterize, bits=p.bits)
        case SharpnessOp(params=p):
            return partial(pixels.sharpen, factor=within(p.factor))
