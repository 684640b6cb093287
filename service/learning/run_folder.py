"""The folder of a training-free run: its identity, the journal for resuming it, and its artifacts.

    RUN/run.json               configuration, model, tickets: a resumed run must have the same
    RUN/journal.jsonl          every answer of the engine; deleted when the run is complete
    RUN/MISSION/…              guidance.json, snapshots/, trajectories.jsonl, selections.jsonl, reflections.jsonl, metrics.json
    RUN/report.html            written last: a run that has it is complete

A resumed run repeats the whole loop on the journal's answers. Its records must equal those that the interrupted run wrote,
so the files end with the same bytes as those of an uninterrupted run.
"""

from __future__ import annotations

import fcntl
import json
import shutil
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from service.guidance.guidance import Guidance
from service.guidance.store import GuidanceStore
from service.judging.records import Record
from service.learning.journal import Journal
from service.platform.files import folder_of, read_json, write_json
from vqc.errors import InvalidValue
from vqc.missions import Mission

ACTOR = "vqc stage-b run"
"""The name of a run in the history of its guidance."""


class RunFolder:
    """The artifacts and the journal of a run; a context manager, open in one process at a time.

    ``identity`` holds everything that decides the results of the run, as JSON values. Every method is called in a fixed
    order: the same answers give the same bytes.

    Raises:
        InvalidValue: the folder belongs to another run, or another process writes to it.
    """

    def __init__(
        self, path: Path, identity: Mapping[str, object], *, retention: int, clock: Callable[[], datetime]
    ) -> None:
        self.path = path
        self._identity = dict(identity)
        self.guidance_store = GuidanceStore(path, retention=retention, clock=clock)
        self._files: dict[Path, ReplayedFile] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self.path.mkdir(parents=True, exist_ok=True)
        lock = self._stack.enter_context((self.path / ".lock").open("w"))
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._stack.close()
            raise InvalidValue(
                "output.run_name", str(self.path), "another process is writing this run; wait until it ends"
            ) from error
        try:
            self._check_identity()
            self.journal = self._stack.enter_context(Journal(self.path / "journal.jsonl"))
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in self._files.values():
            file.close(complete=kind is None)
        self._stack.close()

    def reset_guidance(self, mission: Mission, guidance: Guidance) -> None:
        """Resets the mission's guidance to the version that the run starts from."""
        # The repeated loop makes the changes of the interrupted run once more; each expects the version before it.
        folder = folder_of(self.path, mission.name)
        shutil.rmtree(folder / "snapshots", ignore_errors=True)
        for name in ("guidance.json", "history.jsonl"):
            (folder / name).unlink(missing_ok=True)
        expected = self.guidance_store.active_version(mission).digest
        self.guidance_store.approve(mission, guidance, expected=expected, by=ACTOR, note="start")

    def write_trajectory(self, mission: Mission, record: Record) -> None:
        """Appends to ``trajectories.jsonl``."""
        self._file(mission, "trajectories.jsonl").write(record)

    def write_selection(self, mission: Mission, record: Record) -> None:
        """Appends to ``selections.jsonl``."""
        self._file(mission, "selections.jsonl").write(record)

    def write_reflection(self, mission: Mission, record: Record) -> None:
        """Appends to ``reflections.jsonl``."""
        self._file(mission, "reflections.jsonl").write(record)

    def activate_guidance(self, mission: Mission, before: Guidance, after: Guidance, note: str) -> None:
        """Makes a version the active one of the run."""
        self.guidance_store.approve(mission, after, expected=before.digest, by=ACTOR, note=note)

    def write_metrics(self, mission: Mission, value: Mapping[str, object]) -> None:
        """Writes ``metrics.json``."""
        self._file(mission, "reflections.jsonl")  # so that every mission has one, if empty
        write_json(folder_of(self.path, mission.name) / "metrics.json", value)

    def delete_journal(self) -> None:
        """Deletes the journal of a complete run, which nothing resumes from."""
        (self.path / "journal.jsonl").unlink(missing_ok=True)

    def _check_identity(self) -> None:
        path = self.path / "run.json"
        if not path.exists():
            write_json(path, self._identity)
            return
        before, now = _flatten(read_json(path)), _flatten(json.loads(json.dumps(self._identity)))
        for key in sorted(before.keys() | now.keys()):
            if before.get(key) != now.get(key):
                valid = (
                    f"this run started with {before.get(key)!r}; use another output.run_name, or --fresh to start over"
                )
                raise InvalidValue(key, now.get(key), valid)

    def _file(self, mission: Mission, name: str) -> ReplayedFile:
        path = folder_of(self.path, mission.name) / name
        if path not in self._files:
            self._files[path] = ReplayedFile(path)
        return self._files[path]


class ReplayedFile:
    """A JSONL file of a run that may be resumed: records that the file already holds are skipped, the first one that
    differs replaces the rest of the file.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.touch()
        self._file = path.open("r+b")
        self._replaying = True

    def write(self, record: Record) -> None:
        """Appends one record, unless it is the next line of the file already."""
        line = json.dumps(record, ensure_ascii=False).encode() + b"\n"
        if self._replaying:
            # Compared, not skipped by count: the last line may be cut short, and a changed answer must not leave old records.
            place = self._file.tell()
            if self._file.readline() == line:
                return
            self._file.seek(place)
            self._file.truncate()
            self._replaying = False
        self._file.write(line)
        self._file.flush()

    def close(self, *, complete: bool) -> None:
        """Closes the file. A ``complete`` run truncates it after its last record."""
        # An interrupted run keeps the rest: the next one may still find its own records there.
        if complete and self._replaying:
            self._file.truncate(self._file.tell())
        self._file.close()


def _flatten(value: object, prefix: str = "") -> dict[str, object]:
    """A JSON value by dotted keys.

    >>> _flatten({"a": {"b": 1}, "c": [2]})
    {'a.b': 1, 'c': [2]}
    """
    if not isinstance(value, dict):
        return {prefix: value}
    return {
        k: v for name, one in value.items() for k, v in _flatten(one, f"{prefix}.{name}" if prefix else name).items()
    }
