"""What can go wrong when a version is promoted or rolled back; a branch of the tree in ``vqc.errors``.

VqcError
├── PromotionRefused     gates that did not pass: all of them, as ``findings``
├── NothingToRollBackTo  no earlier version of an alias is known
├── NeverInForce         a version to go back to that the alias has never pointed to
└── SmokeServeFailed     transformers or the engine gave no answers at all: there is nothing to compare
"""

from __future__ import annotations

from collections.abc import Sequence

from registry.gates.findings import Finding
from vqc.errors import VqcError


class PromotionRefused(VqcError):
    """A version that may not have the alias. ``findings`` is everything that is missing, not only the first."""

    def __init__(self, version: str, alias: str, findings: Sequence[Finding]) -> None:
        self.version = version
        self.alias = alias
        self.findings = tuple(findings)
        lines = [f"{version} cannot become {alias!r}; {len(self.findings)} thing(s) stand against it:"]
        super().__init__("\n".join([*lines, *(f"  - {one.gate}: {one.message}" for one in self.findings)]))


class NothingToRollBackTo(VqcError):
    """Neither a promotion record nor the audit log knows what ``alias`` pointed to before."""

    def __init__(self, alias: str) -> None:
        self.alias = alias
        super().__init__(f"nothing is known of what {alias!r} pointed to before; name a version with --to")


class NeverInForce(VqcError):
    """A rollback goes back: a version that ``alias`` has never pointed to must pass the gates instead."""

    def __init__(self, version: str, alias: str) -> None:
        self.version = version
        self.alias = alias
        super().__init__(f"{version} has never been {alias!r}: a rollback runs no gates, so promote it")


class SigningUnavailable(VqcError):
    """model-signing is not installed."""

    def __init__(self) -> None:
        super().__init__("signatures need the package model-signing: pip install 'vqc[sign]'")


class SmokeServeFailed(VqcError):
    """``who`` (transformers or the engine) did not get as far as answers; ``reason`` says why."""

    def __init__(self, who: str, reason: str) -> None:
        self.who = who
        self.reason = reason
        super().__init__(f"smoke-serve: {who} gave no answers: {reason}")
