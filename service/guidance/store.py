"""Stores guidance versions in a folder per mission, which the training-free loop and the online path share.

    ROOT/MISSION/guidance.json                        the active version, complete
    ROOT/MISSION/snapshots/<step>-<digest>.json       every version, immutable
    ROOT/MISSION/history.jsonl                        proposals, approvals and rollbacks: who and when
    ROOT/MISSION/thresholds/…                         ``service.judging.thresholds``

A change takes a lock and is a compare-and-set. Readers need no lock: a file is replaced atomically.
"""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import structlog

from service.guidance.guidance import Guidance, first_version
from service.guidance.record import HistoryEntry, guidance_of, record_of
from service.platform.errors import GuidanceConflict
from service.platform.files import folder_of, read_json, translate_write_errors, write_json
from vqc.errors import InvalidValue
from vqc.json_lines import appended_record, read_records
from vqc.missions import Mission

_log = structlog.get_logger("vqc.guidance")
SHORTEST_PREFIX = 8
"""The shortest prefix of a digest that names a version."""


class GuidanceStore:
    """The guidance of every mission below ``root``. The first write creates the folder.

    ``retention`` is the number of newest snapshots to keep (None: all). The active version is never deleted.
    """

    def __init__(
        self, root: Path, *, retention: int | None = None, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        if retention is not None and retention < 1:
            raise InvalidValue("guidance.retention", retention, "must be at least 1")
        self._root = root
        self._retention = retention
        self._clock = clock

    def active_version(self, mission: Mission) -> Guidance:
        """The version that new tickets are judged under. Without a stored one it is the mission's ``first_version``."""
        path = folder_of(self._root, mission.name) / "guidance.json"
        return guidance_of(read_json(path)) if path.exists() else first_version(mission)

    def versions(self, mission: Mission) -> tuple[Guidance, ...]:
        """Every stored version, oldest step first, the active one included."""
        paths = sorted(self._snapshots(mission).glob("*.json"))
        found = {one.digest: one for one in (guidance_of(read_json(path)) for path in paths)}
        found.setdefault((current := self.active_version(mission)).digest, current)
        return tuple(sorted(found.values(), key=lambda one: (one.step, one.digest)))

    def version(self, mission: Mission, digest: str) -> Guidance:
        """The version of a digest or of a prefix of at least 8 characters.

        Raises:
            InvalidValue: no version matches, or several do.
        """
        stored = self.versions(mission)
        found = [one for one in stored if len(digest) >= SHORTEST_PREFIX and one.digest.startswith(digest)]
        if len(found) != 1:
            known = ", ".join(f"{one.digest[:12]} (step {one.step})" for one in stored)
            raise InvalidValue("guidance.version", digest, f"versions of {mission.name}: {known}")
        return found[0]

    def history(self, mission: Mission) -> tuple[HistoryEntry, ...]:
        """The history of the mission's guidance, oldest first."""
        path = folder_of(self._root, mission.name) / "history.jsonl"
        try:
            entries, torn = read_records(path)
            found = tuple(HistoryEntry(**entry) for entry in entries)
        except (OSError, ValueError, TypeError) as error:
            raise InvalidValue(str(path), type(error).__name__, f"must be a readable history: {error}") from error
        if torn:
            _log.warning("guidance_history_torn", path=str(path), bytes=len(torn))
        return found

    def propose(self, mission: Mission, guidance: Guidance, *, by: str, run: str) -> None:
        """Stores a version without activating it."""
        with self._lock(mission), self._history_entry(mission, "proposed", guidance, by, "", run):
            self._save_snapshot(mission, guidance)

    def approve(
        self, mission: Mission, guidance: Guidance, *, expected: str, by: str, note: str = "", run: str = ""
    ) -> None:
        """Activates a version. ``run`` names the run that learned it.

        Raises:
            GuidanceConflict: the active version does not have the ``expected`` digest.
            InvalidValue: the version belongs to another mission.
        """
        self._activate(mission, guidance, "approved", expected, by, note, run)

    def rollback(self, mission: Mission, *, expected: str, by: str, to: str | None = None, note: str = "") -> Guidance:
        """Activates an earlier version: the parent of the active one, or the one that ``to`` names by digest.

        Raises:
            GuidanceConflict: as for ``approve``.
            InvalidValue: the version does not exist, or is no longer stored.
        """
        parent = to or self.active_version(mission).parent
        if parent is None:
            raise InvalidValue("guidance.version", None, f"the guidance of {mission.name} is the first; name a version")
        earlier = self.version(mission, parent)
        self._activate(mission, earlier, "rolled back", expected, by, note, "")
        return earlier

    def _activate(
        self, mission: Mission, guidance: Guidance, action: str, expected: str, by: str, note: str, run: str
    ) -> None:
        if guidance.mission != mission.name:
            raise InvalidValue("guidance.mission", guidance.mission, f"must be {mission.name!r}")
        with self._lock(mission):
            current = self.active_version(mission)
            if current.digest != expected:
                raise GuidanceConflict(mission.name, expected, current.digest)
            # The active version may be the mission's first one, which was never stored: without its snapshot, a rollback
            # would not find it. The snapshot of the new version comes before it is active, so that a crash in between
            # leaves an active version that is stored as well.
            self._save_snapshot(mission, current)
            # The entry comes first and leaves with an error: a full disk activates no version that the history does not have.
            with self._history_entry(mission, action, guidance, by, note, run):
                is_new = self._save_snapshot(mission, guidance)
                try:
                    write_json(folder_of(self._root, mission.name) / "guidance.json", record_of(guidance))
                except BaseException:
                    if is_new:
                        self._snapshot_path(mission, guidance).unlink()
                    raise
            self._prune(mission, guidance)

    def _save_snapshot(self, mission: Mission, guidance: Guidance) -> bool:
        """Returns whether the version was not stored before."""
        path = self._snapshot_path(mission, guidance)
        if is_new := not path.exists():
            write_json(path, record_of(guidance))
        return is_new

    def _snapshot_path(self, mission: Mission, guidance: Guidance) -> Path:
        return self._snapshots(mission) / f"{guidance.step:04d}-{guidance.digest[:16]}.json"

    def _prune(self, mission: Mission, current: Guidance) -> None:
        if self._retention is None:
            return
        spare = [
            path for path in sorted(self._snapshots(mission).glob("*.json")) if current.digest[:16] not in path.name
        ]
        for path in spare[: max(0, len(spare) + 1 - self._retention)]:
            path.unlink()

    @contextmanager
    def _history_entry(
        self, mission: Mission, action: str, guidance: Guidance, by: str, note: str, run: str
    ) -> Iterator[None]:
        at, version, step = self._clock().isoformat(), guidance.digest, guidance.step
        entry = HistoryEntry(at=at, action=action, version=version, step=step, by=by, note=note, run=run)
        path = folder_of(self._root, mission.name) / "history.jsonl"
        with translate_write_errors(path), appended_record(path, asdict(entry)):
            yield

    def _snapshots(self, mission: Mission) -> Path:
        return folder_of(self._root, mission.name) / "snapshots"

    @contextmanager
    def _lock(self, mission: Mission) -> Iterator[None]:
        folder = folder_of(self._root, mission.name)
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
