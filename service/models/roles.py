"""A served model, and how a shadow's answer compares with the main model's."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedModel:
    """Which checkpoint answers: the alias it is served under and the digest of its files."""

    alias: str
    digest: str


class Agreement(StrEnum):
    """How a shadow's answer compares with the one that was given."""

    IDENTICAL = "identical"
    SAME_DESCRIPTIONS = "same_descriptions"
    """A caption with the same objects by their descriptions, at other places."""

    DIFFERENT = "different"
    FAILED = "failed"
    """The shadow gave no answer."""

    SKIPPED = "skipped"
    """The shadow was not asked: it has as much to do as it may."""
