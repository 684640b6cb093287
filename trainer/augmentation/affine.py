"""Operations that are affine maps. The next barrier applies their product in one resampling."""

from __future__ import annotations

import random

from trainer.config.augmentation import HFlipOp, RotateOp, ScaleOp, VFlipOp
from trainer.geometry import Affine, hflip, rotation, scaling, vflip
from vqc.geometry import SizeWH

AffineOp = HFlipOp | VFlipOp | RotateOp | ScaleOp


def sample_matrix(op: AffineOp, size_wh: SizeWH, rng: random.Random) -> Affine | None:
    """The operation's map on a canvas of ``size_wh`` px; None when its probability skips it."""
    chance, amount = rng.random(), rng.random()
    if chance >= op.params.prob:
        return None
    centre = (size_wh[0] / 2, size_wh[1] / 2)
    match op:
        case HFlipOp():
            return hflip(size_wh[0])
        case VFlipOp():
            return vflip(size_wh[1])
        case RotateOp():
            return rotation((2 * amount - 1) * op.params.max_deg, centre)
        case ScaleOp():
            factor = op.params.lo + amount * (op.params.hi - op.params.lo)
            return scaling(factor, factor, centre)
