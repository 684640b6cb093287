"""Stores guidance proposals beside the versions: one file ``ROOT/MISSION/proposals/<id>.json`` per proposal.

A decision takes its own lock, outside that of the guidance store, so that two people cannot decide on one proposal.
"""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from service.guidance.proposal import Decision, GuidanceProposal, ProposalState
from service.guidance.store import GuidanceStore
from service.platform.errors import ProposalDecided, UnknownProposal
from service.platform.files import folder_of, read_json, write_json
from vqc.errors import InvalidValue
from vqc.missions import Mission

_RECORD = TypeAdapter(GuidanceProposal)


class ProposalStore:
    """The proposals below ``root``, the folder of the guidance store. A proposal is decided on once."""

    def __init__(self, root: Path, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._root = root
        self._guidance = GuidanceStore(root, clock=clock)
        self._clock = clock

    def proposals(self, mission: Mission) -> tuple[GuidanceProposal, ...]:
        """The mission's proposals: pending ones first, and each part newest first."""
        found = [_read(path) for path in self._folder(mission).glob("*.json")]
        found.sort(key=lambda one: one.at, reverse=True)
        return tuple(sorted(found, key=lambda one: one.state is not ProposalState.PENDING))

    def put(self, mission: Mission, proposal: GuidanceProposal) -> bool:
        """Stores a pending proposal; False when it already exists. Raises ``ProposalDecided``."""
        with self._lock(mission):
            path = self._path(mission, proposal.id)
            if path.exists():
                self._read_pending(mission, proposal.id)
                return False
            write_json(path, _RECORD.dump_python(proposal, mode="json"))
            return True

    def approve(self, mission: Mission, proposal_id: str, *, by: str, note: str = "") -> GuidanceProposal:
        """Activates the version of a proposal.

        Raises:
            UnknownProposal: no proposal has this id.
            ProposalDecided: a decision was already made.
            GuidanceConflict: the base is no longer active, so that the measured effect no longer holds.
        """
        with self._lock(mission):
            proposal = self._read_pending(mission, proposal_id)
            # An earlier call may have activated the version and crashed before it saved the decision: then only that is left.
            if self._guidance.active_version(mission).digest != proposal.guidance.digest:
                expected = proposal.base.digest
                self._guidance.approve(
                    mission, proposal.guidance, expected=expected, by=by, note=note, run=proposal.run
                )
            return self._save_decision(mission, proposal, ProposalState.APPROVED, by, note)

    def reject(self, mission: Mission, proposal_id: str, *, by: str, note: str = "") -> GuidanceProposal:
        """Rejects a proposal. Raises ``UnknownProposal`` or ``ProposalDecided``."""
        with self._lock(mission):
            return self._save_decision(
                mission, self._read_pending(mission, proposal_id), ProposalState.REJECTED, by, note
            )

    def _read_pending(self, mission: Mission, proposal_id: str) -> GuidanceProposal:
        path = self._path(mission, proposal_id)
        if not path.exists():
            raise UnknownProposal(mission.name, proposal_id)
        proposal = _read(path)
        if proposal.decision is not None:
            raise ProposalDecided(proposal.id, str(proposal.state), proposal.decision.by, proposal.decision.at)
        return proposal

    def _save_decision(
        self, mission: Mission, proposal: GuidanceProposal, state: ProposalState, by: str, note: str
    ) -> GuidanceProposal:
        decision = Decision(by=by, at=self._clock().isoformat(), note=note)
        proposal = replace(proposal, state=state, decision=decision)
        write_json(self._path(mission, proposal.id), _RECORD.dump_python(proposal, mode="json"))
        return proposal

    def _path(self, mission: Mission, proposal_id: str) -> Path:
        if not proposal_id.isalnum():
            raise UnknownProposal(mission.name, proposal_id)
        return self._folder(mission) / f"{proposal_id}.json"

    def _folder(self, mission: Mission) -> Path:
        return folder_of(self._root, mission.name) / "proposals"

    @contextmanager
    def _lock(self, mission: Mission) -> Iterator[None]:
        folder = self._folder(mission)
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _read(path: Path) -> GuidanceProposal:
    try:
        proposal = _RECORD.validate_python(read_json(path))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise InvalidValue(f"{path}: {'.'.join(map(str, first['loc']))}", first["input"], first["msg"]) from error
    if proposal.id != path.stem:
        raise InvalidValue(str(path), proposal.id, "must be the id of the version in the file: the file was edited")
    return proposal
