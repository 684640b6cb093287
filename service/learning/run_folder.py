"""The folder of a training-free run: what it is of, the journal that it resumes from and what it leaves behind.

    RUN/run.json               configuration, model, tickets: a run that goes on must be the same one
    RUN/journal.jsonl          every answer as it came; gone when the run is complete
    RUN/MISSION/…              guidance.json, snapshots/, trajectories.jsonl, selections.jsonl, reflections.jsonl, metrics.json
    RUN/report.html            written last: a run that has it is complete

A resumed run repeats the whole loop on the journal's answers: what it writes is compared with what is there and differs
nowhere, so that the bytes are those of a run that was never interrupted.
"""

from __future__ import annotations

import fcntl
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from service.guidance.guidance import Guidance
from service.guidance.store import GuidanceStore
from service.judging.records import Record
from service.platform.files import folder_of, read_json, write_json
from vqc.errors import InvalidValue
from vqc.missions import Mission

BY = "vqc stage-b run"
"""Who a run says it is in the history of its guidance."""


class RunFolder:
    """A run's artifacts and journal; used as a context manager, by one process at a time.

    ``identity`` is everything that decides the run's results, JSON values only.

    Raises:
        InvalidValue: the folder holds another run, or another process writes to it.
    """

    def __init__(
        self, path: Path, identity: Mapping[str, object], *, retention: int, clock: Callable[[], datetime]
    ) -> None:
        self.path = path
        self._identity = dict(identity)
        self.guidance_store = GuidanceStore(path, retention=retention, clock=clock)
        self._files: dict[Path, ReplayedLines] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self.path.mkdir(parents=True, exist_ok=True)
        lock = self._stack.enter_context((self.path / ".lock").open("w"))
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._stack.close()
            raise InvalidValue(
                "output.run_name", str(self.path), "another process writes this run; wait for it"
            ) from error
        try:
            self._check_identity()
            self._journal = self._stack.enter_context(KeptAnswers(self.path / "journal.jsonl"))
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

    @property
    def complete(self) -> bool:
        """Whether the run has come to its end."""
        return (self.path / "report.html").exists()

    def begin(self, mission: Mission, guidance: Guidance) -> None:
        """Puts the mission's guidance back to the version that the run starts from."""
        folder = folder_of(self.path, mission.name)
        shutil.rmtree(folder / "snapshots", ignore_errors=True)
        for name in ("guidance.json", "history.jsonl"):
            (folder / name).unlink(missing_ok=True)
        expected = self.guidance_store.in_force(mission).digest
        self.guidance_store.approve(mission, guidance, expected=expected, by=BY, note="start")

    def trajectory(self, mission: Mission, record: Record) -> None:
        """Appends to ``trajectories.jsonl``."""
        self._lines(mission, "trajectories.jsonl").write(record)

    def selection(self, mission: Mission, record: Record) -> None:
        """Appends to ``selections.jsonl``."""
        self._lines(mission, "selections.jsonl").write(record)

    def reflection(self, mission: Mission, record: Record) -> None:
        """Appends to ``reflections.jsonl``."""
        self._lines(mission, "reflections.jsonl").write(record)

    def guidance(self, mission: Mission, before: Guidance, after: Guidance, note: str) -> None:
        """Puts a version in force for the run."""
        self.guidance_store.approve(mission, after, expected=before.digest, by=BY, note=note)

    def metrics(self, mission: Mission, value: Mapping[str, object]) -> None:
        """Writes ``metrics.json``."""
        self._lines(mission, "reflections.jsonl")  # there, if empty, for every mission
        write_json(folder_of(self.path, mission.name) / "metrics.json", value)

    def rollouts(self, key: str) -> Sequence[Mapping[str, object]]:
        """The records kept under a key."""
        return self._journal.rollouts.get(key, [])

    def keep_rollouts(self, key: str, records: Sequence[Mapping[str, object]]) -> None:
        """Adds records under a key."""
        self._journal.keep({"key": key, "rollouts": list(records)})

    def answer(self, key: str) -> str | None:
        """The answer kept under a key."""
        return self._journal.answers.get(key)

    def keep_answer(self, key: str, text: str) -> None:
        """Keeps an answer under a key."""
        self._journal.keep({"key": key, "answer": text})

    def finish(self) -> None:
        """The run is complete: nothing is to be resumed from its journal any more."""
        (self.path / "journal.jsonl").unlink(missing_ok=True)

    def _check_identity(self) -> None:
        path = self.path / "run.json"
        if not path.exists():
            write_json(path, self._identity)
            return
        before, now = _flat(read_json(path)), _flat(json.loads(json.dumps(self._identity)))
        for key in sorted(before.keys() | now.keys()):
            if before.get(key) != now.get(key):
                valid = f"this run was begun with {before.get(key)!r}; take another output.run_name, or --fresh to start over"
                raise InvalidValue(key, now.get(key), valid)

    def _lines(self, mission: Mission, name: str) -> ReplayedLines:
        path = folder_of(self.path, mission.name) / name
        if path not in self._files:
            self._files[path] = ReplayedLines(path)
        return self._files[path]


class ReplayedLines:
    """A JSONL file that an interrupted run has begun: lines equal to those there are passed over, the first that differs
    takes the place of all that follow.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.touch()
        self._file = path.open("r+b")
        self._replaying = True

    def write(self, record: Record) -> None:
        """Appends one line."""
        line = json.dumps(record, ensure_ascii=False).encode() + b"\n"
        if self._replaying:
            place = self._file.tell()
            if self._file.readline() == line:
                return
            self._file.seek(place)
            self._file.truncate()
            self._replaying = False
        self._file.write(line)
        self._file.flush()

    def close(self, *, complete: bool) -> None:
        """Closes the file; a ``complete`` run leaves nothing behind what it wrote."""
        if complete and self._replaying:
            self._file.truncate(self._file.tell())
        self._file.close()


class KeptAnswers:
    """The journal: ``rollouts`` and ``answers`` by key. A line that a kill has cut is dropped."""

    def __init__(self, path: Path) -> None:
        self.rollouts: dict[str, list[dict[str, object]]] = {}
        self.answers: dict[str, str] = {}
        self._path = path

    def __enter__(self) -> Self:
        end = 0
        if self._path.exists():
            with self._path.open("rb") as lines:
                for line in lines:
                    if line.endswith(b"\n"):
                        self._remember(json.loads(line))
                        end += len(line)
        self._file: IO[bytes] = self._path.open("ab")
        self._file.truncate(end)
        return self

    def __exit__(self, *ignored: object) -> None:
        self._file.close()

    def keep(self, entry: dict[str, object]) -> None:
        """Writes an entry before anybody relies on it."""
        self._file.write(json.dumps(entry, ensure_ascii=False).encode() + b"\n")
        self._file.flush()
        self._remember(entry)

    def _remember(self, entry: Mapping[str, object]) -> None:
        match entry:
            case {"key": str(key), "rollouts": list(records)}:
                self.rollouts.setdefault(key, []).extend(records)
            case {"key": str(key), "answer": str(text)}:
                self.answers[key] = text
            case _:
                raise InvalidValue(str(self._path), dict(entry), "must be a line that a run has written")


def _flat(value: object, prefix: str = "") -> dict[str, object]:
    """A JSON value by dotted keys.

    >>> _flat({"a": {"b": 1}, "c": [2]})
    {'a.b': 1, 'c': [2]}
    """
    if not isinstance(value, dict):
        return {prefix: value}
    return {k: v for name, one in value.items() for k, v in _flat(one, f"{prefix}.{name}" if prefix else name).items()}
