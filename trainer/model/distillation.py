"""What a teacher is asked about a batch, what it answers, and how the answer counts in the student's loss."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from trainer.model.targets import TeacherTargets
from trainer.model.vision import Trunk, VisionFeatures
from trainer.objectives.divergence import JensenShannon
from trainer.objectives.features import Distance, feature_distance


@dataclass(frozen=True, slots=True, kw_only=True)
class TeacherRequest:
    """What a teacher's pass is for: hidden states of the answers, or the photos' features alone."""

    text: bool
    features: bool


@dataclass(frozen=True, kw_only=True)  # no slots: DeepSpeed asks what a module returns for its vars()
class TeacherOutput:
    """A teacher's pass: its last hidden_SD at the supervised positions (None: not asked), and of the photos (None: there
    are none) what its mergers take in and give."""

    hidden_SD: torch.Tensor | None
    features: VisionFeatures | None
    trunk: Trunk | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DistillationBatch:
    """What a student learns from one batch beside its labels.

    ``trunk`` is given when teacher and student share it. ``on_policy``: the labels are the student's own samples, so
    that there is nothing to imitate in them and cross-entropy does not count.
    """

    targets: TeacherTargets | None = None
    features: VisionFeatures | None = None
    trunk: Trunk | None = None
    on_policy: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureTarget:
    """How one kind of vision features counts."""

    weight: float
    distance: Distance


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """sft_weight · cross-entropy + llm_weight · JSD, both per supervised token, + the vision term per image token.

    The vision term is the mean over the kinds that count of weight · distance; deepstack's is the mean over its layers.
    """

    jsd: JensenShannon
    sft_weight: float
    llm_weight: float
    merger: FeatureTarget | None = None
    deepstack: FeatureTarget | None = None

    @property
    def uses_vision(self) -> bool:
        """Whether vision features count at all."""
        return self.merger is not None or self.deepstack is not None

    def vision_total(self, student: VisionFeatures, teacher: VisionFeatures) -> torch.Tensor:
        """The vision term summed over image tokens, float32, differentiable in the student's features."""
        terms: list[torch.Tensor] = []
        if (kind := self.merger) is not None:
            distance_M = feature_distance(student.merged_MD, teacher.merged_MD, kind.distance)
            terms.append(kind.weight * distance_M.sum())
        if (kind := self.deepstack) is not None:
            pairs = zip(student.deepstack, teacher.deepstack, strict=True)
            layers = [feature_distance(s_MD, t_MD, kind.distance).sum() for s_MD, t_MD in pairs]
            terms.append(kind.weight * torch.stack(layers).mean())
        return torch.stack(terms).mean()
