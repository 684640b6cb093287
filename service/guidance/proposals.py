"""The port to proposed guidance: versions that a run has learned and a person has not decided on yet."""

from __future__ import annotations

from typing import Protocol

from service.guidance.proposal import GuidanceProposal
from vqc.missions import Mission


class ProposalBook(Protocol):
    """Proposals of every mission. A decision is made once: whoever comes second is told so."""

    def proposals(self, mission: Mission) -> tuple[GuidanceProposal, ...]:
        """The mission's proposals: pending ones first, the newest first among each."""
        ...

    def approve(self, mission: Mission, proposal_id: str, *, by: str, note: str = "") -> GuidanceProposal:
        """The proposal, now in force.

        Raises:
            UnknownProposal: there is none of this id.
            ProposalDecided: somebody has decided on it.
            GuidanceConflict: its base is not in force any more, so that what was measured no longer holds.
        """
        ...

    def reject(self, mission: Mission, proposal_id: str, *, by: str, note: str = "") -> GuidanceProposal:
        """The proposal, rejected. Raises ``UnknownProposal`` or ``ProposalDecided``."""
        ...
