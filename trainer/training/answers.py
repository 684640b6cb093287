"""Chooses the answers that a step trains on: the data's, the student's own (on-policy), or the teacher's."""

from __future__ import annotations

import random
from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Protocol

from typing_extensions import override

from trainer.config.distillation import RlhfSection
from trainer.model.collate import Batch, Collator
from trainer.model.encode import Encoded
from trainer.training.generation import ModelGenerator, sampling_seed


class AnswerSource(StrEnum):
    """Where the answers of a step come from."""

    DATA = "data"
    STUDENT = "student"
    TEACHER = "teacher"


def answer_source(rlhf: RlhfSection, seed: int, step: int) -> AnswerSource:
    """The source of a step's answers: the student in a share ``lmbda`` of all steps, else the teacher or the data.

    With ``seq_kd`` it is the teacher. It depends only on seed and step, so all ranks and a resumed run choose the same.
    """
    if random.Random(f"{seed}/{step}/answers").random() < rlhf.lmbda:
        return AnswerSource.STUDENT
    return AnswerSource.TEACHER if rlhf.seq_kd else AnswerSource.DATA


class StudentGenerator(Protocol):
    """Generates the student's answers: in the training process, or on a server (``served_student``)."""

    def sample_answers(
        self, student: Any, batches: list[Sequence[Encoded]], step: int, seed: int
    ) -> list[list[Encoded]]:
        """The samples of a step's batches with answers sampled from the student."""
        ...

    def close(self) -> None:
        """Releases all resources."""
        ...


class GeneratingStudent(StudentGenerator):
    """Generates in the training process, with the student's current weights."""

    def __init__(self, generator: ModelGenerator, *, rank: int) -> None:
        self._generator = generator
        self._rank = rank

    @override
    def sample_answers(
        self, student: Any, batches: list[Sequence[Encoded]], step: int, seed: int
    ) -> list[list[Encoded]]:
        return [
            self._generator.sample_answers(student, samples, sampling_seed(seed, step, place, self._rank))
            for place, samples in enumerate(batches)
        ]

    @override
    def close(self) -> None:
        """Does nothing: there are no resources."""


class AnswerGenerator:
    """Replaces the answers of batches by generated ones."""

    def __init__(
        self,
        rlhf: RlhfSection,
        generator: ModelGenerator,
        collator: Collator,
        teacher: Any,
        student: StudentGenerator,
        *,
        seed: int,
    ) -> None:
        self._rlhf = rlhf
        self._generator = generator
        self._collator = collator
        self._teacher = teacher
        self._student = student
        self._seed = seed

    def fill(self, student: Any, batches: list[Batch], step: int) -> list[Batch]:
        """The batches of a step with the answers of the step's source."""
        samples = [batch["samples"] for batch in batches]
        match answer_source(self._rlhf, self._seed, step):
            case AnswerSource.DATA:
                return batches
            case AnswerSource.STUDENT:
                sampled = self._student.sample_answers(student, samples, step, self._seed)
                return [{**self._collator(answers), "on_policy": True} for answers in sampled]
            case AnswerSource.TEACHER:
                with self._teacher.generating_model() as model:
                    return [self._collator(self._generator.greedy_answers(model, own)) for own in samples]

    def close(self) -> None:
        """Releases the resources of the student's generator."""
        self._student.close()
