"""The store port over an OCI image layout on a local file system."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from dataclasses import replace
from io import FileIO
from pathlib import Path

from pydantic import ValidationError
from typing_extensions import override

from registry.errors import AliasMoved, Corrupt, UnknownVersion
from registry.files import file_lock, partial_file, read_regular, write_atomically
from registry.layout.collect import plan_collection
from registry.layout.index import IndexFile, alias_in, aliases_in, by_digest, with_alias, without_alias
from registry.layout.leases import LeaseFiles
from registry.oci import CREATED, MODEL_TYPE, VERSION_TYPES, Descriptor, Manifest, descriptor_of
from registry.store import OnBytes, Store
from registry.streams import (
    blocks,
    check_file,
    check_size,
    copy_and_hash,
    file_digest,
    ignore_progress,
    is_regular,
    same_bytes,
    translate_no_space,
)
from registry.values import ANY, AuditEntry, Collected, Expected, Lease, UntrackedLease, utc_now
from vqc.durable import sync_directory
from vqc.errors import InvalidValue

_OWN = {"oci-layout", "index.json", "blobs", "vqc"}
_FOLDERS = ("blobs", "blobs/sha256", "vqc", "vqc/leases", "vqc/partial")
_FILES = ("oci-layout", "index.json", "vqc/audit.jsonl", "vqc/index.lock", "vqc/collect.lock")


class LayoutStore(Store):
    """A registry's bytes in one directory."""

    def __init__(self, root: Path) -> None:
        if root.exists() and (not root.is_dir() or not (_is_layout(root) or {p.name for p in root.iterdir()} <= _OWN)):
            raise InvalidValue(
                "registry", str(root), "name an OCI image layout, an empty or a new directory, or oci://host/repository"
            )
        _check_parts(root)
        self._root = root
        self._blobs = root / "blobs" / "sha256"
        self._scratch = root / "vqc" / "partial"
        self._collecting = root / "vqc" / "collect.lock"
        self._index = IndexFile(root, self._scratch)
        self._leases = LeaseFiles(root / "vqc" / "leases", self._scratch)
        self._index.repair_log()

    @property
    @override
    def where(self) -> str:
        return str(self._root)

    @property
    @override
    def ordered_log(self) -> bool:
        return True  # entries are written under the index lock

    @override
    @contextmanager
    def reading(self) -> Generator[None]:
        if not self._root.exists():
            yield
            return
        with file_lock(self._collecting, shared=True):
            yield

    @override
    @contextmanager
    def adding(self) -> Generator[None]:
        with translate_no_space(self._root):
            self._blobs.mkdir(parents=True, exist_ok=True)
        if not _is_layout(self._root):
            # Before the first entry of the log: without an index, an entry that was never committed would count.
            self._index.create()
            write_atomically(self._root / "oci-layout", b'{"imageLayoutVersion":"1.0.0"}', self._scratch)
        with file_lock(self._collecting, shared=True):
            yield

    @override
    def add_file(self, file: Path, media_type: str, on_bytes: OnBytes) -> Descriptor:
        size = file.stat().st_size
        # A blob of the same size is probably this file: hash before copying. Compare the bytes too, so that a second
        # push repairs a damaged blob. Otherwise one pass copies and hashes.
        if any(blob.lstat().st_size == size for blob in self._blobs.iterdir()):
            digest = file_digest(file, on_bytes)
            if is_regular(self._blob(digest)) and same_bytes(file, self._blob(digest)):
                return Descriptor(media_type=media_type, digest=digest, size=size)
        with FileIO(file) as source, partial_file(self._scratch, size) as partial:
            digest, size = copy_and_hash(blocks(source), partial.file, on_bytes)
            partial.commit(self._blob(digest), 0o444)
        return Descriptor(media_type=media_type, digest=digest, size=size)

    @override
    def add_bytes(self, content: bytes, media_type: str) -> Descriptor:
        blob = descriptor_of(content, media_type)
        path = self._blob(blob.digest)
        if not is_regular(path) or path.read_bytes() != content:
            write_atomically(self._blob(blob.digest), content, self._scratch, 0o444)
        return blob

    @override
    def add_manifest(
        self,
        content: bytes,
        descriptor: Descriptor,
        subject: Descriptor | None = None,
        entry: AuditEntry | None = None,
    ) -> None:
        self.add_bytes(content, descriptor.media_type)
        sync_directory(self._blobs)  # the index must never list a blob that a power cut could lose
        with self._index.changing() as index:
            if descriptor.digest not in by_digest(index.manifests):
                index.manifests.append(descriptor.model_copy(update={"annotations": {CREATED: utc_now()}}))
                if entry is not None:
                    index.log(entry)

    @override
    def manifest(self, digest: str) -> bytes | None:
        found = by_digest(self._index.read().manifests).get(digest)
        return self.read(found) if found is not None else None

    @override
    def read(self, blob: Descriptor) -> bytes:
        check_size(blob)
        self.check(blob, ignore_progress)
        return read_regular(self._blob(blob.digest), blob.size)

    @override
    def check(self, blob: Descriptor, on_bytes: OnBytes) -> None:
        path = self._blob(blob.digest)
        name = str(path) if blob.title == blob.digest else f"{blob.title} ({path})"
        check_file(path, blob.digest, blob.size, name, on_bytes)

    @override
    def fetch(self, blob: Descriptor, work: Path, on_bytes: OnBytes) -> Path:
        self.check(blob, on_bytes)
        return self._blob(blob.digest)

    @override
    def versions(self) -> list[str]:
        known = by_digest(self._index.read().manifests)
        return [digest for digest, blob in known.items() if self._kind(blob) in VERSION_TYPES]

    @override
    def aliases(self) -> dict[str, str]:
        return aliases_in(self._index.read().manifests)

    @override
    def referrers(self, digest: str) -> list[Descriptor]:
        found = []
        for blob in by_digest(self._index.read().manifests).values():
            if blob.artifact_type == MODEL_TYPE:
                continue
            manifest = self._read_manifest(blob)
            if manifest is not None and manifest.subject is not None and manifest.subject.digest == digest:
                found.append(without_alias(blob).model_copy(update={"artifact_type": manifest.kind}))
        return found

    @override
    def move(self, alias: str, to: Descriptor | None, expected: Expected, entry: AuditEntry) -> AuditEntry:
        with self._index.changing() as index:
            known = by_digest(index.manifests)
            before = aliases_in(index.manifests).get(alias)
            if expected is not ANY and expected != before:
                raise AliasMoved(alias, expected=expected, found=before)
            if to is not None and to.digest not in known:
                raise UnknownVersion(to.digest, aliases_in(index.manifests), self.where)
            # An index entry carries at most one alias, so a version with two aliases has two entries. The version that
            # loses its only entry here gets one without an alias: moving an alias must never unlist a version.
            entries = [blob for blob in index.manifests if alias_in(blob) != alias]
            unlisted = {blob.digest for blob in index.manifests} - {blob.digest for blob in entries}
            entries += [without_alias(known[digest]) for digest in sorted(unlisted)]
            if to is not None:
                entries.append(with_alias(without_alias(known[to.digest]), alias))
            index.manifests[:] = entries
            entry = replace(entry, before=before)
            index.log(entry)
        return entry

    @override
    def audit(self) -> list[AuditEntry]:
        return self._index.audit()

    @override
    @contextmanager
    def lease(self, digest: str, holder: str, ttl_s: float) -> Generator[Lease]:
        if not os.access(self._root / "vqc", os.W_OK):  # read-only: a pulled copy survives a collection anyway
            yield UntrackedLease(digest, holder)
            return
        # Under the index lock, which a collection holds while it reads the leases: either it sees this one, or it has
        # removed the version before and the lease is refused.
        with self._index.changing():
            if self.manifest(digest) is None:
                raise UnknownVersion(digest, self.aliases(), self.where)
            held = self._leases.acquire(digest, holder, ttl_s)
        with held:
            yield held

    @override
    def collect(
        self,
        extra_roots: Iterable[str],
        older_than_s: float,
        dry_run: bool,
        entry_of: Callable[[str], AuditEntry],
    ) -> Collected:
        if not _is_layout(self._root):
            return Collected(versions=(), blobs=(), freed_bytes=0)
        with file_lock(self._collecting, wait=False):
            with self._index.changing(write=not dry_run) as index:
                roots = {*aliases_in(index.manifests).values(), *self._leases.active_digests(), *extra_roots}
                planned = plan_collection(index, self.read, self._blobs, self._scratch, roots, older_than_s)
                for digest in planned.collected.versions:
                    index.log(entry_of(digest))
            if not dry_run:
                for path in planned.files:
                    path.unlink(missing_ok=True)
        return planned.collected

    def _blob(self, digest: str) -> Path:
        return self._blobs / digest.removeprefix("sha256:")

    def _kind(self, blob: Descriptor) -> str | None:
        """The artifact type of a listed manifest; other tools do not write it into the index."""
        if blob.artifact_type is not None:
            return blob.artifact_type
        manifest = self._read_manifest(blob)
        return MODEL_TYPE if manifest is not None and manifest.is_model else None

    def _read_manifest(self, blob: Descriptor) -> Manifest | None:
        """A listed manifest; None for a nested index, which another tool may store here."""
        try:
            return Manifest.model_validate_json(self.read(blob))
        except ValidationError:
            return None


def _check_parts(root: Path) -> None:
    """Raises Corrupt where a part of the layout is a link, which would be read, written and collected elsewhere."""
    for name in (*_FOLDERS, *_FILES):
        try:
            mode = (root / name).lstat().st_mode
        except (FileNotFoundError, NotADirectoryError):
            continue
        if stat.S_ISLNK(mode):
            expected, found = (
                "no link (move or mount the whole directory instead)",
                f"a link to {(root / name).readlink()}",
            )
            raise Corrupt(str(root / name), expected=expected, found=found)
        if not (stat.S_ISDIR(mode) if name in _FOLDERS else stat.S_ISREG(mode)):
            kind = "a directory" if name in _FOLDERS else "a file"
            raise Corrupt(str(root / name), expected=kind, found="something else")


def _is_layout(root: Path) -> bool:
    return (root / "oci-layout").is_file()
