"""``index.json`` and the log beside it, changed together.

The log is written first, and the index records how many of its bytes count. So an entry and the move it describes become
visible in the same instant, and what a crash left beyond the counted bytes is overwritten by the next entry.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from registry.errors import Corrupt
from registry.files import file_lock, write_atomically
from registry.layout.audit_file import AuditFile
from registry.oci import GUIDANCE_TYPE, MODEL_TYPE, REF_NAME, Descriptor, Index
from registry.values import AuditEntry

_LOGGED = "vqc.audit-bytes"


class OpenIndex:
    """An index that is being changed. ``manifests`` may be edited in place."""

    def __init__(self, document: Index, log: AuditFile) -> None:
        self.document = document
        self.manifests = list(document.manifests)
        self.entries: list[AuditEntry] = []
        self._log = log

    def log(self, entry: AuditEntry) -> None:
        """Queues a log entry, written when the index is."""
        self.entries.append(entry)

    def finish(self) -> Index:
        """Writes the queued log entries to disk and returns the new document."""
        notes = dict(self.document.annotations or {})
        if self.entries:
            notes[_LOGGED] = str(self._log.append(self.entries, counted=_audit_bytes(self.document)))
        return self.document.model_copy(update={"manifests": tuple(self.manifests), "annotations": notes or None})


class IndexFile:
    """The index file of one layout."""

    def __init__(self, root: Path, scratch: Path) -> None:
        self._path = root / "index.json"
        self._lock = root / "vqc" / "index.lock"
        self._scratch = scratch
        self._log = AuditFile(root / "vqc" / "audit.jsonl")

    def read(self) -> Index:
        """The current index; an empty one if the file does not exist.

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
        """The index, locked. It is written back at the end of the block if it changed and nothing was raised."""
        with file_lock(self._lock):
            index = OpenIndex(self.read(), self._log)
            yield index
            if write and (index.entries or tuple(index.manifests) != index.document.manifests):
                # ``finish`` syncs the log before the rename below commits it: a crash in between changes nothing.
                write_atomically(self._path, index.finish().to_bytes(), self._scratch)

    def audit(self) -> list[AuditEntry]:
        """The committed log entries."""
        return self._log.read(_audit_bytes(self.read()))


def _audit_bytes(document: Index) -> int | None:
    """How many bytes of the log are committed; None (all complete lines) if another tool rewrote the index."""
    value = (document.annotations or {}).get(_LOGGED)
    return int(value) if value is not None and value.isdigit() else None


def by_digest(manifests: Iterable[Descriptor]) -> dict[str, Descriptor]:
    """Each artifact once, keyed by digest, in index order."""
    found: dict[str, Descriptor] = {}
    for blob in manifests:
        found.setdefault(blob.digest, blob)
    return found


def aliases_in(manifests: Iterable[Descriptor]) -> dict[str, str]:
    """Maps each alias to a digest, sorted by alias."""
    named = {
        alias_in(blob): blob.digest for blob in manifests if blob.artifact_type in (None, MODEL_TYPE, GUIDANCE_TYPE)
    }
    return {alias: named[alias] for alias in sorted(name for name in named if name is not None)}


def alias_in(blob: Descriptor) -> str | None:
    """The alias that an index entry carries."""
    return (blob.annotations or {}).get(REF_NAME)


def with_alias(blob: Descriptor, alias: str) -> Descriptor:
    """The entry with this alias."""
    return blob.model_copy(update={"annotations": {**(blob.annotations or {}), REF_NAME: alias}})


def without_alias(blob: Descriptor) -> Descriptor:
    """The entry without its alias."""
    notes = {key: value for key, value in (blob.annotations or {}).items() if key != REF_NAME}
    return blob.model_copy(update={"annotations": notes or None})
