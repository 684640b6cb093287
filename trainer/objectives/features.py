"""How far a student's vision features are from its teacher's (feature distillation, Romero et al. 2015, arXiv:1412.6550).

Axes: N image tokens, D width.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch.nn.functional import normalize

Distance = Literal["mse", "cosine"]


def feature_distance(student_ND: torch.Tensor, teacher_ND: torch.Tensor, distance: Distance) -> torch.Tensor:
    """float32_N per image token: the mean over D of the squared difference, or 1 - cosine of the angle between them.

    The cosine distance is computed as half the squared distance of the unit vectors: equal in value, never negative, and
    exactly 0 for equal features.

    Raises:
        ValueError: the features have different shapes, so the models have different architectures.
    """
    if student_ND.shape != teacher_ND.shape:
        raise ValueError(
            f"the student's features are {tuple(student_ND.shape)}, the teacher's {tuple(teacher_ND.shape)}; visual_kd "
            "needs a teacher with the student's vision architecture"
        )
    student_ND, teacher_ND = (x if x.dtype is torch.float64 else x.float() for x in (student_ND, teacher_ND))
    if distance == "mse":
        return (student_ND - teacher_ND).square().mean(-1)
    return (normalize(student_ND, dim=-1) - normalize(teacher_ND, dim=-1)).square().sum(-1) / 2
