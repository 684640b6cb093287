"""Whose answers a step learns from: the data's, the student's own, or the teacher's."""

from __future__ import annotations

import random
from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Protocol

from trainer.config.distillation import RlhfSection
from trainer.model.collate import Batch, Collator
from trainer.model.encode import Encoded
from trainer.training.generation import Generation, sampling_seed


class AnswerSource(StrEnum):
    """Who wrote the answers of a step."""

    DATA = "data"
    STUDENT = "student"
    TEACHER = "teacher"


def answer_source(rlhf: RlhfSection, seed: int, step: int) -> AnswerSource:
    """Who answers in a step: the student in a share ``lmbda`` of all, else the teacher with ``seq_kd``, else the data.

    A function of seed and step alone: every rank decides the same, and so does a resumed run.
    """
    if random.Random(f"{seed}/{step}/answers").random() < rlhf.lmbda:
        return AnswerSource.STUDENT
    return AnswerSource.TEACHER if rlhf.seq_kd else AnswerSource.DATA


class StudentGenerator(Protocol):
    """Where the student's own answers come from: the training process, or a server (``served_student``)."""

    def sample_answers(
        self, student: Any, batches: list[Sequence[Encoded]], step: int, seed: int
    ) -> list[list[Encoded]]:
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

    def sample_answers(
        self, student: Any, batches: list[Sequence[Encoded]], step: int, seed: int
    ) -> list[list[Encoded]]:
        """The samples with answers; the same seed draws the same."""
        return [
            self._generation.sample_answers(student, samples, sampling_seed(seed, step, place, self._rank))
            for place, samples in enumerate(batches)
        ]

    def close(self) -> None:
        """Nothing was begun."""


class AnswerGenerator:
    """Puts generated answers into batches."""

    def __init__(
        self,
        rlhf: RlhfSection,
        generation: Generation,
        collator: Collator,
        teacher: Any,
        student: StudentGenerator,
        *,
        seed: int,
    ) -> None:
        self._rlhf = rlhf
        self._generation = generation
        self._collator = collator
        self._teacher = teacher
        self._student = student
        self._seed = seed

    def answer_source(self, step: int) -> AnswerSource:
        """Who answers in a step."""
        return answer_source(self._rlhf, self._seed, step)

    def fill(self, student: Any, batches: list[Batch], step: int) -> list[Batch]:
        """The batches of a step with the answers of whoever writes them."""
        samples = [batch["samples"] for batch in batches]
        match self.answer_source(step):
            case AnswerSource.DATA:
                return batches
            case AnswerSource.STUDENT:
                sampled = self._student.sample_answers(student, samples, step, self._seed)
                return [{**self._collator(answers), "on_policy": True} for answers in sampled]
            case AnswerSource.TEACHER:
                with self._teacher.generating_model() as model:
                    return [self._collator(self._generation.greedy_answers(model, own)) for own in samples]

    def close(self) -> None:
        """Ends what was begun for the student's answers."""
        self._student.close()
