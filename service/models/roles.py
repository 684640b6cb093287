"""A served model, and how a shadow's answer compares with the main model's."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedModel:
    """Which checkpoint answers: the alias it is served under and the digest of its files.

    ``untrained`` are the active missions that its manifest does not name as trained.
    """

    alias: str
    digest: str
    untrained: frozenset[str] = frozenset()


class Agreement(StrEnum):
    """How the shadow's answer compares with the main model's."""

    IDENTICAL = "identical"
    SAME_DESCRIPTIONS = "same_descriptions"
    """A caption whose objects have the same descriptions, at other places."""

    DIFFERENT = "different"
    FAILED = "failed"
    """The shadow did not answer."""

    SKIPPED = "skipped"
    """The shadow got no request: its limit of requests in flight is reached."""
