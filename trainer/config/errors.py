"""Errors of a configuration: every problem at once, each with its file, line, key and advice."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from vqc.errors import VqcError


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigProblem:
    """One thing to fix: its place (``file:line``), the dotted key, and a sentence that names what is valid."""

    where: str
    key: str
    message: str

    def __str__(self) -> str:
        return ": ".join(part for part in (self.where, self.key, self.message) if part)


class ConfigError(VqcError):
    """A configuration that cannot be used. ``problems`` holds every problem, in file order."""

    def __init__(self, problems: Iterable[ConfigProblem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))
