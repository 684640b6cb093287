"""Where guidance versions are kept: a folder per mission, shared by the training-free loop and the online path.

    ROOT/MISSION/guidance.json                        the version in force, whole
    ROOT/MISSION/snapshots/<step>-<digest>.json       every version, immutable
    ROOT/MISSION/history.jsonl                        who did what, when: proposed, approved, rolled back
    ROOT/MISSION/thresholds/…                         ``service.judging.thresholds``

Changes take a lock and are compare-and-set; readers need none, since files are replaced whole.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from service.guidance.guidance import Guidance, seeded
from service.guidance.record import guidance_of, record_of
from service.platform.errors import GuidanceConflict
from service.platform.files import folder_of, read_json, write_json
from vqc.errors import InvalidValue
from vqc.missions import Mission

SHORTEST_PREFIX = 8
"""Fewest characters of a digest that name a version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuidanceEvent:
    """One line of a mission's history. ``at`` is ISO 8601 in UTC; ``run`` is the one that learned the version, if any."""

    at: str
    action: str
    version: str
    step: int
    by: str
    note: str = ""
    run: str = ""


class GuidanceStore:
    """The guidance of every mission below ``root``, which is made when first written to.

    ``retention`` is the number of newest snapshots to keep (None: all); the version in force always stays.
    """

    def __init__(
        self, root: Path, *, retention: int | None = None, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        if retention is not None and retention < 1:
            raise InvalidValue("guidance.retention", retention, "must be at least 1")
        self._root = root
        self._retention = retention
        self._clock = clock

    def in_force(self, mission: Mission) -> Guidance:
        """The version in force; where none was ever stored, the one that the mission's definition seeds."""
        path = folder_of(self._root, mission.name) / "guidance.json"
        return guidance_of(read_json(path)) if path.exists() else seeded(mission)

    def versions(self, mission: Mission) -> tuple[Guidance, ...]:
        """Every version that is kept, oldest step first. The one in force is among them."""
        paths = sorted(self._snapshots(mission).glob("*.json"))
        found = {one.digest: one for one in (guidance_of(read_json(path)) for path in paths)}
        found.setdefault((current := self.in_force(mission)).digest, current)
        return tuple(sorted(found.values(), key=lambda one: (one.step, one.digest)))

    def version(self, mission: Mission, digest: str) -> Guidance:
        """The version of this digest, or of a prefix of at least 8 characters.

        Raises:
            InvalidValue: no such version, or several.
        """
        kept = self.versions(mission)
        found = [one for one in kept if len(digest) >= SHORTEST_PREFIX and one.digest.startswith(digest)]
        if len(found) != 1:
            known = ", ".join(f"{one.digest[:12]} (step {one.step})" for one in kept)
            raise InvalidValue("guidance.version", digest, f"versions of {mission.name}: {known}")
        return found[0]

    def history(self, mission: Mission) -> tuple[GuidanceEvent, ...]:
        """What happened to the mission's guidance, oldest first."""
        path = folder_of(self._root, mission.name) / "history.jsonl"
        lines = path.read_text("utf-8").splitlines() if path.exists() else []
        return tuple(GuidanceEvent(**json.loads(line)) for line in lines)

    def propose(self, mission: Mission, guidance: Guidance, *, by: str, run: str) -> None:
        """Keeps a version without putting it in force."""
        with self._locked(mission):
            self._keep(mission, guidance)
            self._tell(mission, "proposed", guidance, by, "", run)

    def approve(
        self, mission: Mission, guidance: Guidance, *, expected: str, by: str, note: str = "", run: str = ""
    ) -> None:
        """Puts a version in force; ``run`` is the one that learned it.

        Raises:
            GuidanceConflict: the version in force is not the ``expected`` digest: somebody was faster.
            InvalidValue: the version is of another mission.
        """
        self._put(mission, guidance, "approved", expected, by, note, run)

    def rollback(self, mission: Mission, *, expected: str, by: str, to: str | None = None, note: str = "") -> Guidance:
        """Puts an earlier version back in force, the parent of the present one unless ``to`` names another by digest.

        Raises:
            GuidanceConflict: as for ``approve``.
            InvalidValue: there is no such version (any more).
        """
        parent = to or self.in_force(mission).parent
        if parent is None:
            raise InvalidValue("guidance.version", None, f"the guidance of {mission.name} is the first; name a version")
        earlier = self.version(mission, parent)
        self._put(mission, earlier, "rolled back", expected, by, note, "")
        return earlier

    def _put(
        self, mission: Mission, guidance: Guidance, action: str, expected: str, by: str, note: str, run: str
    ) -> None:
        if guidance.mission != mission.name:
            raise InvalidValue("guidance.mission", guidance.mission, f"must be {mission.name!r}")
        with self._locked(mission):
            current = self.in_force(mission)
            if current.digest != expected:
                raise GuidanceConflict(mission.name, expected, current.digest)
            self._keep(mission, current)
            self._keep(mission, guidance)
            write_json(folder_of(self._root, mission.name) / "guidance.json", record_of(guidance))
            self._tell(mission, action, guidance, by, note, run)
            self._prune(mission, guidance)

    def _keep(self, mission: Mission, guidance: Guidance) -> None:
        path = self._snapshots(mission) / f"{guidance.step:04d}-{guidance.digest[:16]}.json"
        if not path.exists():
            write_json(path, record_of(guidance))

    def _prune(self, mission: Mission, current: Guidance) -> None:
        if self._retention is None:
            return
        spare = [
            path for path in sorted(self._snapshots(mission).glob("*.json")) if current.digest[:16] not in path.name
        ]
        for path in spare[: max(0, len(spare) + 1 - self._retention)]:
            path.unlink()

    def _tell(self, mission: Mission, action: str, guidance: Guidance, by: str, note: str, run: str) -> None:
        now = self._clock().isoformat()
        version, step = guidance.digest, guidance.step
        event = GuidanceEvent(at=now, action=action, version=version, step=step, by=by, note=note, run=run)
        with (folder_of(self._root, mission.name) / "history.jsonl").open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(asdict(event), ensure_ascii=False) + "\n")

    def _snapshots(self, mission: Mission) -> Path:
        return folder_of(self._root, mission.name) / "snapshots"

    @contextmanager
    def _locked(self, mission: Mission) -> Iterator[None]:
        folder = folder_of(self._root, mission.name)
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
