"""What a run proposes to put in force, as a person sees it: the version, what it was learned from, what it was measured to do.

A proposal is about one base: the guidance that the run started from and that its effect was measured against.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from service.guidance.gate import Effect
from service.guidance.guidance import Guidance
from service.platform.messages import Remark
from vqc.verdict import Verdict


class ProposalState(StrEnum):
    """Where a proposal stands."""

    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleOperation:
    """One operation of a reflection: ``op`` on the rules ``ids``, with its text and the tickets that it was learned from."""

    op: str
    ids: tuple[str, ...] = ()
    text: str | None = None
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reflected:
    """One reflection of the run. ``reasons`` say why the gate refused it; ``applied`` ones have none."""

    reflection_id: str
    operations: tuple[RuleOperation, ...]
    effect: Effect | None
    applied: bool
    reasons: tuple[Remark, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceTicket:
    """A ticket that an operation names: what people said of it, and what was selected and why under the base."""

    group_id: str
    label: Verdict | None
    verdict: Verdict | None
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Who decided on a proposal, when (ISO 8601, UTC) and why."""

    by: str
    at: str
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuidanceProposal:
    """A version that waits for a person, or did. ``base`` is the version that it would replace."""

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
        """The beginning of the version's digest: proposing a version twice is the same proposal."""
        return self.guidance.digest[:16]

    @property
    def mission(self) -> str:
        """The mission's exact name."""
        return self.guidance.mission

    @property
    def effect(self) -> Effect | None:
        """All applied reflections together: before the first, after the last, the least bootstrap share among them."""
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
