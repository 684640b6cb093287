"""The use of a teacher during a run: what the student learns from each batch, and generated answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainer.model.collate import Batch
from trainer.model.distillation import DistillationBatch, FeatureTarget, Objective, TeacherRequest
from trainer.model.loss import positions_at_once
from trainer.model.targets import HiddenTargets, LikeliestTargets, TeacherTargets
from trainer.objectives.divergence import JensenShannon
from trainer.training.answers import AnswerGenerator
from trainer.training.teacher import Teacher
from trainer.training.teacher_cache import TeacherCache

if TYPE_CHECKING:
    from trainer.config import TrainConfig


def objective_of(config: TrainConfig) -> Objective | None:
    """The loss terms of the sections ``rlhf`` and ``custom.visual_kd``; None without a teacher."""
    rlhf, visual = config.rlhf, config.custom.visual_kd
    if rlhf is None:
        return None
    features: dict[str, FeatureTarget] = {}
    if visual is not None and visual.enabled:
        features = {
            kind: FeatureTarget(weight=visual.weight_of(kind), distance=visual.distance_of(kind))
            for kind in visual.targets
        }
    return Objective(
        jsd=JensenShannon(beta=rlhf.beta, temperature=rlhf.temperature),
        sft_weight=rlhf.sft_weight,
        llm_weight=rlhf.llm_kd_weight,
        **features,
    )


class Distiller:
    """Runs the teacher only for terms that the objective has and the cache does not hold.

    ``merge_size`` is the model's: one image token has this many patches on each side.
    """

    def __init__(
        self,
        teacher: Teacher,
        objective: Objective,
        *,
        merge_size: int,
        cache: TeacherCache | None = None,
        answers: AnswerGenerator | None = None,
    ) -> None:
        self._teacher = teacher
        self._objective = objective
        self._merge_size = merge_size
        self._cache = cache
        self._answers = answers

    def with_answers(self, student: Any, batches: list[Batch], step: int) -> list[Batch]:
        """The batches of a step, with generated answers if the run generates them."""
        return batches if self._answers is None else self._answers.fill(student, batches, step)

    def close(self) -> None:
        """Releases the resources of the answer generator."""
        if self._answers is not None:
            self._answers.close()

    def image_tokens(self, batch: Batch) -> int:
        """Number of image tokens of a batch."""
        grids = batch.get("image_grid_thw")
        return 0 if grids is None else int(grids.prod(-1).sum()) // self._merge_size**2

    def distillation_batch(self, student: Any, inputs: Batch, batch: Batch) -> DistillationBatch:
        """What the student learns from the ``inputs`` of a batch."""
        targets: TeacherTargets | None = self._cached_targets(batch)
        request = TeacherRequest(
            text=self._objective.llm_weight > 0 and targets is None,
            features=self._objective.uses_vision and inputs.get("pixel_levels") is not None,
        )
        on_policy = batch.get("on_policy", False)
        if not request.text and not request.features:
            return DistillationBatch(targets=targets, on_policy=on_policy)
        output = self._teacher.run(student, inputs, request)
        if output.hidden_SD is not None:
            hidden = HiddenTargets(hidden_SD=output.hidden_SD, head=self._teacher.head, jsd=self._objective.jsd)
            targets = self._cache_targets(hidden, batch)
        return DistillationBatch(
            targets=targets,
            features=output.features,
            trunk=output.trunk if self._teacher.shares_trunk else None,
            on_policy=on_policy,
        )

    def _cached_targets(self, batch: Batch) -> LikeliestTargets | None:
        if self._cache is None:
            return None
        return self._cache.read(batch["digests"], self._objective.jsd, batch["labels"].device)

    def _cache_targets(self, targets: HiddenTargets, batch: Batch) -> TeacherTargets:
        """Stores the targets if there is a cache; returns them in the form in which they are read later."""
        if self._cache is None:
            return targets
        likeliest = targets.likeliest(self._cache.top_k, positions_at_once(targets.head, teacher=True))
        self._cache.write(batch["digests"], likeliest)
        return likeliest
