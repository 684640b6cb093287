"""Distillation's values: the request to a teacher, its output, what the student learns from it, and the weights in the loss."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from trainer.model.targets import TeacherTargets
from trainer.model.vision import Trunk, VisionFeatures
from trainer.objectives.divergence import JensenShannon
from trainer.objectives.features import Distance, feature_distance


@dataclass(frozen=True, slots=True, kw_only=True)
class TeacherRequest:
    """What a teacher's forward pass has to return: hidden states of the answers (``text``), the photos' ``features``."""

    text: bool
    features: bool


@dataclass(frozen=True, kw_only=True)  # no slots: DeepSpeed asks what a module returns for its vars()
class TeacherOutput:
    """The result of a teacher's forward pass.

    ``hidden_SD`` are the last hidden states at the supervised positions (None: not requested). ``features`` is the output
    of the mergers, ``trunk`` their input (None: no photos, or not requested).
    """

    hidden_SD: torch.Tensor | None
    features: VisionFeatures | None
    trunk: Trunk | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DistillationBatch:
    """What a student learns from one batch in addition to its labels.

    ``trunk`` is set if teacher and student share it. ``on_policy`` means that the student sampled the answers itself
    (GKD's term): there is nothing to imitate in them, so cross-entropy has no weight.
    """

    targets: TeacherTargets | None = None
    features: VisionFeatures | None = None
    trunk: Trunk | None = None
    on_policy: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureTarget:
    """Weight and distance of one kind of vision features."""

    weight: float
    distance: Distance


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """sft_weight · cross-entropy + llm_weight · JSD, both per supervised token, + the vision term per image token.

    The vision term is the mean of weight · distance over the active kinds; deepstack's distance is the mean over its layers.
    """

    jsd: JensenShannon
    sft_weight: float
    llm_weight: float
    merger: FeatureTarget | None = None
    deepstack: FeatureTarget | None = None

    @property
    def uses_vision(self) -> bool:
        """Whether vision features are part of the loss."""
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
