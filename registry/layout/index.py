"""``index.json`` and the log beside it, changed together.

The log is written first and the index says how many of its bytes count: an entry and the move it tells of become visible
in the same instant, and what a crash left behind the counted bytes is overwritten by the next entry.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from registry.errors import Corrupt
from registry.files import locked, write_whole
from registry.layout.audit import AuditLog
from registry.oci import GUIDANCE_TYPE, MODEL_TYPE, REF_NAME, Descriptor, Index
from registry.values import AuditEntry

_LOGGED = "vqc.audit-bytes"


class OpenIndex:
    """An index being changed. ``manifests`` may be edited in place."""

    def __init__(self, document: Index, log: AuditLog) -> None:
        self.document = document
        self.manifests = list(document.manifests)
        self.entries: list[AuditEntry] = []
        self._log = log

    def log(self, entry: AuditEntry) -> None:
        """Adds to the log when the change is made."""
        self.entries.append(entry)

    def changed(self) -> Index:
        """The new document; its log entries are on disk."""
        notes = dict(self.document.annotations or {})
        if self.entries:
            notes[_LOGGED] = str(self._log.append(self.entries, counted=_counted(self.document)))
        return self.document.model_copy(update={"manifests": tuple(self.manifests), "annotations": notes or None})


class IndexFile:
    """The index of one layout."""

    def __init__(self, root: Path, scratch: Path) -> None:
        self._path = root / "index.json"
        self._lock = root / "vqc" / "index.lock"
        self._scratch = scratch
        self._log = AuditLog(root / "vqc" / "audit.jsonl")

    def read(self) -> Index:
        """The index as it is now; an empty one where there is none.

        Raises:
            Corrupt: it cannot be read.
        """
        try:
            return Index.model_validate_json(self._path.read_bytes())
        except FileNotFoundError:
            return Index()
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"])
            raise Corrupt(str(self._path), expected="an OCI index", found=f"{place} {first['msg']}".strip()) from error

    @contextmanager
    def changing(self, *, write: bool = True) -> Generator[OpenIndex]:
        """The index, alone; written back at the end of the block if something changed and no error was raised."""
        with locked(self._lock):
            index = OpenIndex(self.read(), self._log)
            yield index
            if write and (index.entries or tuple(index.manifests) != index.document.manifests):
                write_whole(self._path, index.changed().to_bytes(), self._scratch)

    def audit(self) -> list[AuditEntry]:
        """What the log says, without what was never carried out."""
        return self._log.read(_counted(self.read()))


def _counted(document: Index) -> int | None:
    """How many bytes of the log count; None where another tool rewrote the index: all whole lines."""
    value = (document.annotations or {}).get(_LOGGED)
    return int(value) if value is not None and value.isdigit() else None


def listed(manifests: Iterable[Descriptor]) -> dict[str, Descriptor]:
    """Each artifact once, by digest, in the order they came."""
    found: dict[str, Descriptor] = {}
    for blob in manifests:
        found.setdefault(blob.digest, blob)
    return found


def aliases_in(manifests: Iterable[Descriptor]) -> dict[str, str]:
    """Alias → digest, sorted by alias."""
    named = {tagged(blob): blob.digest for blob in manifests if blob.artifact_type in (None, MODEL_TYPE, GUIDANCE_TYPE)}
    return {alias: named[alias] for alias in sorted(name for name in named if name is not None)}


def tagged(blob: Descriptor) -> str | None:
    """The alias that an index entry gives."""
    return (blob.annotations or {}).get(REF_NAME)


def tagged_as(blob: Descriptor, alias: str) -> Descriptor:
    """An index entry that gives an alias."""
    return blob.model_copy(update={"annotations": {**(blob.annotations or {}), REF_NAME: alias}})


def untagged(blob: Descriptor) -> Descriptor:
    """The entry without its alias."""
    notes = {key: value for key, value in (blob.annotations or {}).items() if key != REF_NAME}
    return blob.model_copy(update={"annotations": notes or None})
