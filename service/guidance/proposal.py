"""A guidance version that a run proposes, with the tickets that it was learned from and its measured effect.

A proposal has one base: the version that the run started from and that the effect was measured against.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from service.guidance.gate import Effect
from service.guidance.guidance import Guidance
from service.platform.messages import LocalizedMessage
from vqc.verdict import Verdict


class ProposalState(StrEnum):
    """The state of a proposal."""

    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleOperation:
    """One operation of a reflection: ``op`` on the rules ``ids``, with its text and the tickets that are its evidence."""

    op: str
    ids: tuple[str, ...] = ()
    text: str | None = None
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reflected:
    """One reflection of the run. An ``applied`` reflection passed the gate and has no ``reasons`` against it."""

    reflection_id: str
    operations: tuple[RuleOperation, ...]
    effect: Effect | None
    applied: bool
    reasons: tuple[LocalizedMessage, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceTicket:
    """A ticket that an operation names: the label, and the verdict and reason that were selected under the base."""

    group_id: str
    label: Verdict | None
    verdict: Verdict | None
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A person's decision on a proposal: who, when (ISO 8601, UTC) and why."""

    by: str
    at: str
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuidanceProposal:
    """A version that was submitted for approval. ``base`` is the version that it replaces."""

    guidance: Guidance
    base: Guidance
    run: str
    by: str
    at: str
    reflections: tuple[Reflected, ...]
    tickets: tuple[EvidenceTicket, ...] = ()
    state: ProposalState = ProposalState.PENDING
    decision: Decision | None = None

    @property
    def id(self) -> str:
        """A prefix of the version's digest: proposing a version twice makes one proposal."""
        return self.guidance.digest[:16]

    @property
    def mission(self) -> str:
        """The mission's exact name."""
        return self.guidance.mission

    @property
    def effect(self) -> Effect | None:
        """The effect of all applied reflections: before the first, after the last, with their lowest bootstrap share."""
        measured = [one.effect for one in self.reflections if one.applied and one.effect]
        if not measured:
            return None
        first, last = measured[0], measured[-1]
        error = first.error_before
        return Effect(
            tickets=last.tickets,
            error_before=error,
            error_after=last.error_after,
            rer=(error - last.error_after) / error if error else 0.0,
            false_release_before=first.false_release_before,
            false_release_after=last.false_release_after,
            bootstrap_share=min(one.bootstrap_share for one in measured),
        )
