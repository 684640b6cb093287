"""Whose answers a step learns from: the data's, the student's own, or the teacher's."""

from __future__ import annotations

import random
from enum import StrEnum
from typing import Any

from trainer.config.distillation import RlhfSection
from trainer.model.collate import Batch, Collator
from trainer.training.generation import Generation


class Source(StrEnum):
    """Who wrote the answers of a step."""

    DATA = "data"
    STUDENT = "student"
    TEACHER = "teacher"


def source(rlhf: RlhfSection, seed: int, step: int) -> Source:
    """Who answers in a step: the student in a share ``lmbda`` of all, else the teacher with ``seq_kd``, else the data.

    A function of seed and step alone: every rank decides the same, and so does a resumed run.
    """
    if random.Random(f"{seed}/{step}/answers").random() < rlhf.lmbda:
        return Source.STUDENT
    return Source.TEACHER if rlhf.seq_kd else Source.DATA


class Answers:
    """Puts generated answers into batches."""

    def __init__(
        self, rlhf: RlhfSection, generation: Generation, collator: Collator, teacher: Any, *, seed: int, rank: int
    ) -> None:
        self._rlhf = rlhf
        self._generation = generation
        self._collator = collator
        self._teacher = teacher
        self._seed = seed
        self._rank = rank

    def source(self, step: int) -> Source:
        """Who answers in a step."""
        return source(self._rlhf, self._seed, step)

    def written(self, student: Any, batches: list[Batch], step: int) -> list[Batch]:
        """The batches of a step with the answers of whoever writes them."""
        match self.source(step):
            case Source.DATA:
                return batches
            case Source.STUDENT:
                drawn = [self._drawn(student, batch, step, place) for place, batch in enumerate(batches)]
                return [{**self._collator(samples), "own_answers": True} for samples in drawn]
            case Source.TEACHER:
                with self._teacher.speaking() as model:
                    return [self._collator(self._generation.greedy(model, batch["samples"])) for batch in batches]

    def _drawn(self, student: Any, batch: Batch, step: int, place: int) -> Any:
        seed = random.Random(f"{self._seed}/{step}/{place}/{self._rank}/student").getrandbits(32)
        return self._generation.sampled(student, batch["samples"], seed)
