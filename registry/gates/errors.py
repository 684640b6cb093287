"""Errors of promotion and rollback; a branch of the tree in ``vqc.errors``.

VqcError
├── PromotionRefused     at least one gate failed: every failure, as ``findings``
├── NothingToRollBackTo  no earlier version of the alias is known
├── NeverActive          the rollback's target is a version that the alias has never pointed to
├── SigningUnavailable   model-signing is not installed
└── SmokeServeFailed     transformers or the engine gave no answers, so there is nothing to compare
"""

from __future__ import annotations

from collections.abc import Sequence

from registry.gates.findings import Finding
from vqc.errors import VqcError


class PromotionRefused(VqcError):
    """A version that failed at least one gate of the alias. ``findings`` lists every failure, not only the first."""

    def __init__(self, version: str, alias: str, findings: Sequence[Finding]) -> None:
        self.version = version
        self.alias = alias
        self.findings = tuple(findings)
        lines = [f"{version} cannot become {alias!r}; {len(self.findings)} finding(s):"]
        super().__init__("\n".join([*lines, *(f"  - {one.gate}: {one.message}" for one in self.findings)]))


class NothingToRollBackTo(VqcError):
    """Neither a promotion record nor the audit log contains an earlier target of ``alias``."""

    def __init__(self, alias: str) -> None:
        self.alias = alias
        super().__init__(f"no earlier version of {alias!r} is known; choose one with --to")


class NeverActive(VqcError):
    """A rollback's target that ``alias`` has never pointed to; it must pass the gates instead."""

    def __init__(self, version: str, alias: str) -> None:
        self.version = version
        self.alias = alias
        super().__init__(f"{version} has never been {alias!r}; a rollback runs no gates, so promote it instead")


class SigningUnavailable(VqcError):
    """The package model-signing is not installed."""

    def __init__(self) -> None:
        super().__init__("signatures need the package model-signing: pip install 'vqc[sign]'")


class SmokeServeFailed(VqcError):
    """One side (``who``: transformers or the engine) gave no answers; ``reason`` says why."""

    def __init__(self, who: str, reason: str) -> None:
        self.who = who
        self.reason = reason
        super().__init__(f"smoke-serve: {who} gave no answers: {reason}")
