"""Problems of a data set, written as ``file:line: rule: message``, and the error that carries them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from vqc.errors import VqcError

MOST_SHOWN = 50
"""Number of problems that an error's text lists; ``problems`` holds all."""


class RecordRule(StrEnum):
    """The rule that a record violates. Values are stable: users filter reports by them."""

    JSON = "json"
    FIELD = "field"
    TASK = "task"
    IMAGES = "images"
    IMAGE_MISSING = "image-missing"
    IMAGE_UNREADABLE = "image-unreadable"
    SIZE = "size"
    GEOMETRY = "geometry"
    COORDINATES = "coordinates"
    BOUNDS = "bounds"
    LINE_POINTS = "line-points"
    DEGENERATE = "degenerate"
    DESC = "desc"
    OBJECTS = "objects"
    SUMMARY = "summary"
    MISSION = "mission"
    VERDICT = "verdict"
    MESSAGES = "messages"


class Severity(StrEnum):
    """Whether a problem stops training (error) or not (warning)."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordProblem:
    """One thing to fix in a record. ``source`` is its ``file:line``."""

    source: str
    rule: RecordRule
    message: str
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        return f"{self.source}: {self.rule}: {self.message}"


class DataError(VqcError):
    """Records that cannot be used for training. ``problems`` holds every problem."""

    def __init__(self, problems: Iterable[RecordProblem]) -> None:
        self.problems = tuple(problems)
        lines = [str(problem) for problem in self.problems[:MOST_SHOWN]]
        if len(self.problems) > MOST_SHOWN:
            lines.append(f"… and {len(self.problems) - MOST_SHOWN} more")
        super().__init__("\n".join(lines))
