"""``index.json`` and the log beside it, changed together.

The log is written first, and the index records how many of its bytes count. So an entry and the move it describes become
visible in the same instant, and what a crash left beyond the counted bytes is overwritten by the next entry.
"""

from __future__ import annotations

import errno
import logging
import re
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from registry.audit_log import new_entry
from registry.errors import Corrupt
from registry.files import file_lock, read_regular, write_atomically
from registry.layout.audit_file import AuditFile
from registry.oci import REF_NAME, VERSION_TYPES, Descriptor, Index
from registry.values import AuditEntry

_LOGGED = "vqc.audit-bytes"
_MAX_INDEX = 64 * 2**20
_COUNT = re.compile(r"[0-9]{1,15}")


class OpenIndex:
    """An index that is being changed. ``manifests`` may be edited in place."""

    def __init__(self, document: Index, log: AuditFile) -> None:
        self.document = document
        self.manifests = list(document.manifests)
        self.entries: list[AuditEntry] = []
        self._log = log
        self._counted = _audit_bytes(document)

    def log(self, entry: AuditEntry) -> None:
        """Queues a log entry, written when the index is."""
        self.entries.append(entry)

    def cut_log(self) -> None:
        """Appends at the end of the file, which was repaired, instead of at the committed length."""
        self._counted = None

    def finish(self) -> Index:
        """Writes the queued log entries to disk and returns the new document."""
        notes = dict(self.document.annotations or {})
        if self.entries:
            notes[_LOGGED] = str(self._log.append(self.entries, counted=self._counted))
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
            return Index.model_validate_json(read_regular(self._path, _MAX_INDEX))
        except FileNotFoundError:
            return Index()
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"])
            raise Corrupt(str(self._path), expected="an OCI index", found=f"{place} {first['msg']}".strip()) from error

    def create(self) -> None:
        """Writes an empty index, unless there is one."""
        with file_lock(self._lock):
            if not self._path.exists():
                empty = Index(annotations={_LOGGED: str(self._log.size())})
                write_atomically(self._path, empty.to_bytes(), self._scratch)

    @contextmanager
    def changing(self, *, write: bool = True) -> Generator[OpenIndex]:
        """The index, locked. It is written back at the end of the block if it changed and nothing was raised."""
        with file_lock(self._lock):
            index = OpenIndex(self.read(), self._log)
            yield index
            if write and (index.entries or tuple(index.manifests) != index.document.manifests):
                # ``finish`` syncs the log before the rename below commits it: a crash in between changes nothing.
                write_atomically(self._path, index.finish().to_bytes(), self._scratch)

    def repair_log(self) -> None:
        """Makes the log agree with the index again, if something other than this program cut or extended it.

        A process that dies leaves entries that were never committed; they are dropped. A log that lost its end (a torn last
        line) is cut to its last complete line. What was lost or dropped by others is reported: as a warning, and as a
        ``repair`` entry. Does nothing if the log is whole or may not be written.
        """
        try:
            if self._log.is_whole(_audit_bytes(self.read())):
                return
        except Corrupt:  # reported by the first use, which says what for
            return
        try:
            with self.changing() as index:
                counted = _audit_bytes(index.document)
                if self._log.is_whole(counted):  # another process repaired it, or finished its own change
                    return
                lost = self._log.trim(counted)
                if not lost:
                    return
                entries = self._log.read(None)
                reason = f"{lost:,} bytes of the log were lost; it ends at its last complete line"
                logging.getLogger("registry").warning("registry_log_repaired %s: %s", self._log.path, reason)
                index.log(new_entry("repair", actor=None, reason=reason))
                index.cut_log()
                # The index is the truth: whatever it holds and the log no longer says is said again.
                last = {entry.alias: entry.after for entry in entries if entry.action == "move"}
                aliases = aliases_in(index.manifests)
                logged = {entry.after for entry in entries if entry.action == "push"}
                for blob in by_digest(index.manifests).values():
                    if blob.artifact_type in VERSION_TYPES and blob.digest not in logged:
                        index.log(new_entry("push", after=blob.digest, actor=None, reason="repair: its entry was lost"))
                for alias in sorted({name for name in last if name is not None} | aliases.keys()):
                    before, after = last.get(alias), aliases.get(alias)
                    if before != after:
                        index.log(
                            new_entry(
                                "move",
                                alias=alias,
                                before=before,
                                after=after,
                                actor=None,
                                reason="repair: its entry was lost",
                            )
                        )
        except OSError as error:
            if error.errno not in (errno.EROFS, errno.EACCES, errno.EPERM):
                raise

    def audit(self) -> list[AuditEntry]:
        """The committed log entries."""
        return self._log.read(_audit_bytes(self.read()))


def _audit_bytes(document: Index) -> int | None:
    """How many bytes of the log are committed; None (all complete lines) if another tool rewrote the index."""
    value = (document.annotations or {}).get(_LOGGED)
    return int(value) if value is not None and _COUNT.fullmatch(value) else None


def by_digest(manifests: Iterable[Descriptor]) -> dict[str, Descriptor]:
    """Each artifact once, keyed by digest, in index order."""
    found: dict[str, Descriptor] = {}
    for blob in manifests:
        found.setdefault(blob.digest, blob)
    return found


def aliases_in(manifests: Iterable[Descriptor]) -> dict[str, str]:
    """Maps each alias to a digest, sorted by alias."""
    named = {alias_in(blob): blob.digest for blob in manifests if blob.artifact_type in (None, *VERSION_TYPES)}
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
