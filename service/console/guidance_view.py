"""The values of the guidance pages, read from the stores."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from service.guidance.guidance import Change, Guidance, diff
from service.guidance.proposal import EvidenceTicket, GuidanceProposal, ProposalState
from service.guidance.proposal_store import ProposalStore
from service.guidance.record import HistoryEntry
from service.guidance.store import GuidanceStore
from service.judging.release_state import ReleaseState
from vqc.missions import Mission

FOCUS = "focus"
"""The id of a change of the focus; other changes have the id of a rule."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MissionRow:
    """A mission in the list."""

    mission: Mission
    active: Guidance
    waiting: int
    release: ReleaseState | None


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionView:
    """A version: its changes against its parent (``made``; None: the parent is not kept) and against the active version
    (``back``).
    """

    guidance: Guidance
    active: bool
    made: tuple[Change, ...] | None
    back: tuple[Change, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposalView:
    """A proposal and its changes against its base. ``current`` is whether the base is still active."""

    proposal: GuidanceProposal
    at: datetime
    changes: tuple[Change, ...]
    current: bool

    @property
    def tickets(self) -> dict[str, EvidenceTicket]:
        """The evidence, by ticket id."""
        return {ticket.group_id: ticket for ticket in self.proposal.tickets}


@dataclass(frozen=True, slots=True, kw_only=True)
class EventView:
    """One line of the history."""

    at: datetime
    event: HistoryEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class MissionView:
    """Everything about one mission, newest first."""

    mission: Mission
    active: Guidance
    waiting: tuple[ProposalView, ...]
    decided: tuple[ProposalView, ...]
    versions: tuple[VersionView, ...]
    history: tuple[EventView, ...]


def mission_row(
    mission: Mission, store: GuidanceStore, proposals: ProposalStore, release: Callable[[Guidance], ReleaseState | None]
) -> MissionRow:
    """The mission's row in the list. ``release`` returns the release state under a guidance version, None without Stage-B."""
    waiting = sum(one.state is ProposalState.PENDING for one in proposals.proposals(mission))
    active = store.active_version(mission)
    return MissionRow(mission=mission, active=active, waiting=waiting, release=release(active))


def mission_view(mission: Mission, store: GuidanceStore, proposals: ProposalStore) -> MissionView:
    """The mission's page."""
    active, kept = store.active_version(mission), {one.digest: one for one in store.versions(mission)}
    proposed = [_proposal(one, active) for one in proposals.proposals(mission)]
    history = [EventView(at=datetime.fromisoformat(one.at), event=one) for one in store.history(mission)]
    return MissionView(
        mission=mission,
        active=active,
        waiting=tuple(one for one in proposed if one.proposal.state is ProposalState.PENDING),
        decided=tuple(one for one in proposed if one.proposal.state is not ProposalState.PENDING),
        versions=tuple(_version(one, kept, active) for one in reversed(kept.values())),
        history=tuple(reversed(history)),
    )


def changes(before: Guidance, after: Guidance) -> tuple[Change, ...]:
    """The differences, with the focus first.

    >>> from dataclasses import replace
    >>> from service.guidance.guidance import first_version
    >>> from vqc.missions import mission_named
    >>> first = first_version(mission_named("挡风板安装检查"), ["甲"])
    >>> [one.id for one in changes(first, replace(first, focus="只看挡风板", rules=()))]
    ['focus', 'G0']
    """
    focus = (Change(id=FOCUS, before=before.focus, after=after.focus),) if before.focus != after.focus else ()
    return (*focus, *diff(before, after))


def _version(one: Guidance, kept: dict[str, Guidance], active: Guidance) -> VersionView:
    parent = kept.get(one.parent or "")
    made = changes(parent, one) if parent else None if one.parent else ()
    return VersionView(guidance=one, active=one.digest == active.digest, made=made, back=changes(active, one))


def _proposal(one: GuidanceProposal, active: Guidance) -> ProposalView:
    return ProposalView(
        proposal=one,
        at=datetime.fromisoformat(one.at),
        changes=changes(one.base, one.guidance),
        current=one.base.digest == active.digest,
    )
