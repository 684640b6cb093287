"""Random access to the lines of a large JSONL file by an index of byte offsets; the lines stay on disk."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from pathlib import Path


class JsonlIndex:
    """The non-blank lines of a file by position. Picklable: each read opens the file, so workers share no handle.

    Raises:
        OSError: the file cannot be read.
    """

    def __init__(self, path: Path, limit: int | None = None) -> None:
        self.path = path
        self._offsets = array("Q")
        self._lines = array("Q")
        with path.open("rb") as file:
            offset = 0
            for number, line in enumerate(file, start=1):
                if limit is not None and len(self._offsets) == limit:
                    break
                if line.strip():
                    self._offsets.append(offset)
                    self._lines.append(number)
                offset += len(line)

    def __len__(self) -> int:
        return len(self._offsets)

    def __getitem__(self, index: int) -> tuple[str, bytes]:
        """``file:line`` and the line's bytes."""
        with self.path.open("rb") as file:
            file.seek(self._offsets[index])
            return f"{self.path}:{self._lines[index]}", file.readline()

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        """All lines in order, read in one pass."""
        with self.path.open("rb") as file:
            for offset, number in zip(self._offsets, self._lines, strict=True):
                file.seek(offset)
                yield f"{self.path}:{number}", file.readline()
