"""Whose answers a step learns from: the data's, the student's own, or the teacher's."""

from __future__ import annotations

import random
from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Protocol

from trainer.config.distillation import RlhfSection
from trainer.model.collate import Batch, Collator
from trainer.model.encode import Encoded
from trainer.training.generation import Generation, drawing_seed


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


class StudentWriter(Protocol):
    """Where the student's own answers come from: the training process, or a server (``served_student``)."""

    def drawn(self, student: Any, batches: list[Sequence[Encoded]], step: int, seed: int) -> list[list[Encoded]]:
        """The samples of a step's batches with answers drawn by the student."""
        ...

    def close(self) -> None:
        """Ends what was begun for it."""
        ...


class GeneratingStudent:
    """The student answers in the training process, with its weights of the moment."""

    def __init__(self, generation: Generation, *, rank: int) -> None:
        self._generation = generation
        self._rank = rank

    def drawn(self, student: Any, batches: list[Sequence[Encoded]], step: int, seed: int) -> list[list[Encoded]]:
        """The samples with answers; the same seed draws the same."""
        return [
            self._generation.sampled(student, samples, drawing_seed(seed, step, place, self._rank))
            for place, samples in enumerate(batches)
        ]

    def close(self) -> None:
        """Nothing was begun."""


class Answers:
    """Puts generated answers into batches."""

    def __init__(
        self,
        rlhf: RlhfSection,
        generation: Generation,
        collator: Collator,
        teacher: Any,
        student: StudentWriter,
        *,
        seed: int,
    ) -> None:
        self._rlhf = rlhf
        self._generation = generation
        self._collator = collator
        self._teacher = teacher
        self._student = student
        self._seed = seed

    def source(self, step: int) -> Source:
        """Who answers in a step."""
        return source(self._rlhf, self._seed, step)

    def written(self, student: Any, batches: list[Batch], step: int) -> list[Batch]:
        """The batches of a step with the answers of whoever writes them."""
        samples = [batch["samples"] for batch in batches]
        match self.source(step):
            case Source.DATA:
                return batches
            case Source.STUDENT:
                drawn = self._student.drawn(student, samples, step, self._seed)
                return [{**self._collator(answers), "own_answers": True} for answers in drawn]
            case Source.TEACHER:
                with self._teacher.speaking() as model:
                    return [self._collator(self._generation.greedy(model, own)) for own in samples]

    def close(self) -> None:
        """Ends what was begun for the student's answers."""
        self._student.close()
