"""What the guidance pages show, made from the stores: pure values, read in one go."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from service.guidance.edit import GuidanceBook, GuidanceEvent
from service.guidance.guidance import Change, Guidance, diff
from service.guidance.proposal import EvidenceTicket, GuidanceProposal, ProposalState
from service.guidance.proposals import ProposalBook
from vqc.missions import Mission

FOCUS = "focus"
"""Stands for the focus where a change is named by a rule's id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MissionRow:
    """A mission in the list."""

    mission: Mission
    in_force: Guidance
    waiting: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionView:
    """A version: what it changed in its parent (None: the parent is not kept), and what going back to it would change now."""

    guidance: Guidance
    in_force: bool
    made: tuple[Change, ...] | None
    back: tuple[Change, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposalView:
    """A proposal, what it changes in its base, and whether that is in force still."""

    proposal: GuidanceProposal
    at: datetime
    changes: tuple[Change, ...]
    current: bool

    @property
    def tickets(self) -> dict[str, EvidenceTicket]:
        """Evidence by ticket."""
        return {ticket.group_id: ticket for ticket in self.proposal.tickets}


@dataclass(frozen=True, slots=True, kw_only=True)
class EventView:
    """One line of the history."""

    at: datetime
    event: GuidanceEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class MissionView:
    """Everything of one mission, newest first."""

    mission: Mission
    in_force: Guidance
    waiting: tuple[ProposalView, ...]
    decided: tuple[ProposalView, ...]
    versions: tuple[VersionView, ...]
    history: tuple[EventView, ...]


def mission_row(mission: Mission, book: GuidanceBook, proposals: ProposalBook) -> MissionRow:
    """The mission's line in the list."""
    waiting = sum(one.state is ProposalState.PENDING for one in proposals.proposals(mission))
    return MissionRow(mission=mission, in_force=book.in_force(mission), waiting=waiting)


def mission_view(mission: Mission, book: GuidanceBook, proposals: ProposalBook) -> MissionView:
    """The mission's page."""
    current, kept = book.in_force(mission), {one.digest: one for one in book.versions(mission)}
    proposed = [_proposal(one, current) for one in proposals.proposals(mission)]
    history = [EventView(at=datetime.fromisoformat(one.at), event=one) for one in book.history(mission)]
    return MissionView(
        mission=mission,
        in_force=current,
        waiting=tuple(one for one in proposed if one.proposal.state is ProposalState.PENDING),
        decided=tuple(one for one in proposed if one.proposal.state is not ProposalState.PENDING),
        versions=tuple(_version(one, kept, current) for one in reversed(kept.values())),
        history=tuple(reversed(history)),
    )


def changes(before: Guidance, after: Guidance) -> tuple[Change, ...]:
    """What differs, the focus first.

    >>> from dataclasses import replace
    >>> from service.guidance.guidance import seeded
    >>> from vqc.missions import mission_named
    >>> first = seeded(mission_named("挡风板安装检查"), ["甲"])
    >>> [one.id for one in changes(first, replace(first, focus="只看挡风板", rules=()))]
    ['focus', 'G0']
    """
    focus = (Change(id=FOCUS, before=before.focus, after=after.focus),) if before.focus != after.focus else ()
    return (*focus, *diff(before, after))


def _version(one: Guidance, kept: dict[str, Guidance], current: Guidance) -> VersionView:
    parent = kept.get(one.parent or "")
    made = changes(parent, one) if parent else None if one.parent else ()
    return VersionView(guidance=one, in_force=one.digest == current.digest, made=made, back=changes(current, one))


def _proposal(one: GuidanceProposal, current: Guidance) -> ProposalView:
    return ProposalView(
        proposal=one,
        at=datetime.fromisoformat(one.at),
        changes=changes(one.base, one.guidance),
        current=one.base.digest == current.digest,
    )
