"""The journal of a run: every answer of the engine by the key of its question, so that a resumed run requests none again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Self

from vqc.errors import InvalidValue


class Journal:
    """A JSONL file of answers, read on entry and appended to. A last line that a kill has cut short is dropped."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rollouts: dict[str, list[Mapping[str, object]]] = {}
        self._answers: dict[str, str] = {}

    def __enter__(self) -> Self:
        end = 0
        if self._path.exists():
            with self._path.open("rb") as lines:
                for line in lines:
                    # Only a line with its newline was written whole. An incomplete one can only be the last: entries are
                    # appended by one process, and the next append starts where the last complete line ends.
                    if line.endswith(b"\n"):
                        self._index(json.loads(line))
                        end += len(line)
        self._file: IO[bytes] = self._path.open("ab")
        self._file.truncate(end)
        return self

    def __exit__(self, *ignored: object) -> None:
        self._file.close()

    def rollouts(self, key: str) -> Sequence[Mapping[str, object]]:
        """The records of the rollouts saved under a key, in the order of saving."""
        return self._rollouts.get(key, [])

    def answer(self, key: str) -> str | None:
        """The answer saved under a key."""
        return self._answers.get(key)

    def save_rollouts(self, key: str, records: Sequence[Mapping[str, object]]) -> None:
        """Adds records under a key."""
        self._append({"key": key, "rollouts": list(records)})

    def save_answer(self, key: str, text: str) -> None:
        """Saves an answer under a key."""
        self._append({"key": key, "answer": text})

    def _append(self, entry: Mapping[str, object]) -> None:
        # Written before it is used: what a result depends on is in the file when the process dies.
        self._file.write(json.dumps(entry, ensure_ascii=False).encode() + b"\n")
        self._file.flush()
        self._index(entry)

    def _index(self, entry: Mapping[str, object]) -> None:
        match entry:
            case {"key": str(key), "rollouts": list(records)}:
                self._rollouts.setdefault(key, []).extend(records)
            case {"key": str(key), "answer": str(text)}:
                self._answers[key] = text
            case _:
                raise InvalidValue(str(self._path), dict(entry), "must be a line of a run's journal")
