"""The store port over an OCI image layout on a local file system."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import replace
from io import FileIO
from pathlib import Path

from pydantic import ValidationError

from registry.errors import AliasMoved, UnknownVersion
from registry.files import incoming, locked, sync_directory, write_whole
from registry.layout.collect import plan
from registry.layout.index import IndexFile, aliases_in, listed, tagged, tagged_as, untagged
from registry.layout.leases import LeaseFiles
from registry.oci import CREATED, GUIDANCE_TYPE, MODEL_TYPE, Descriptor, Manifest, described
from registry.store import OnBytes
from registry.streams import blocks, check_file, file_digest, pump, room_for, same_bytes, silent
from registry.values import ANY, AuditEntry, Collected, Expected, Lease, PlainLease, now
from vqc.errors import InvalidValue

_OWN = {"oci-layout", "index.json", "blobs", "vqc"}


class LayoutStore:
    """The registry's bytes in one directory."""

    def __init__(self, root: Path) -> None:
        if root.exists() and (not root.is_dir() or not (_is_layout(root) or {p.name for p in root.iterdir()} <= _OWN)):
            raise InvalidValue(
                "registry", str(root), "name an OCI image layout, an empty or a new directory, or oci://host/repository"
            )
        self._root = root
        self._blobs = root / "blobs" / "sha256"
        self._scratch = root / "vqc" / "partial"
        self._collecting = root / "vqc" / "collect.lock"
        self._index = IndexFile(root, self._scratch)
        self._leases = LeaseFiles(root / "vqc" / "leases", self._scratch)

    @property
    def where(self) -> str:
        """Its directory."""
        return str(self._root)

    @property
    def ordered_log(self) -> bool:
        """It has: entries are written under the index's lock."""
        return True

    @contextmanager
    def reading(self) -> Generator[None]:
        """Shared with other pushes and pulls; a collection has to wait."""
        if not self._root.exists():
            yield
            return
        with locked(self._collecting, shared=True):
            yield

    @contextmanager
    def adding(self) -> Generator[None]:
        """As ``reading``, on a layout that is there."""
        with room_for(self._root):
            self._blobs.mkdir(parents=True, exist_ok=True)
        if not _is_layout(self._root):
            write_whole(self._root / "oci-layout", b'{"imageLayoutVersion":"1.0.0"}', self._scratch)
        with locked(self._collecting, shared=True):
            yield

    def add_file(self, file: Path, media_type: str, on_bytes: OnBytes) -> Descriptor:
        """Copies and hashes in one pass. A file of a known size is hashed first, since it is probably there: then it is
        compared with what is there, so that pushing again mends a damaged blob.
        """
        size = file.stat().st_size
        if any(blob.stat().st_size == size for blob in self._blobs.iterdir()):
            digest = file_digest(file, on_bytes)
            if same_bytes(file, self._blob(digest)):
                return Descriptor(media_type=media_type, digest=digest, size=size)
        with FileIO(file) as source, incoming(self._scratch, size) as partial:
            digest, size = pump(blocks(source), partial.file, on_bytes)
            partial.commit(self._blob(digest), 0o444)
        return Descriptor(media_type=media_type, digest=digest, size=size)

    def add_bytes(self, content: bytes, media_type: str) -> Descriptor:
        """Takes a small blob in."""
        blob = described(content, media_type)
        path = self._blob(blob.digest)
        if not path.exists() or path.read_bytes() != content:
            write_whole(self._blob(blob.digest), content, self._scratch, 0o444)
        return blob

    def add_manifest(self, content: bytes, descriptor: Descriptor, subject: Descriptor | None = None) -> None:
        """Lists it in the index, after its bytes and everything it names are on disk."""
        self.add_bytes(content, descriptor.media_type)
        sync_directory(self._blobs)
        with self._index.changing() as index:
            if descriptor.digest not in listed(index.manifests):
                index.manifests.append(descriptor.model_copy(update={"annotations": {CREATED: now()}}))

    def manifest(self, digest: str) -> bytes | None:
        """A listed manifest's bytes, checked."""
        found = listed(self._index.read().manifests).get(digest)
        return self.read(found) if found is not None else None

    def read(self, blob: Descriptor) -> bytes:
        """A small blob's bytes, checked."""
        self.check(blob, silent)
        return self._blob(blob.digest).read_bytes()

    def check(self, blob: Descriptor, on_bytes: OnBytes) -> None:
        """Reads every byte."""
        path = self._blob(blob.digest)
        name = str(path) if blob.title == blob.digest else f"{blob.title} ({path})"
        check_file(path, blob.digest, blob.size, name, on_bytes)

    def fetch(self, blob: Descriptor, work: Path, on_bytes: OnBytes) -> Path:
        """The blob itself, checked."""
        self.check(blob, on_bytes)
        return self._blob(blob.digest)

    def versions(self) -> list[str]:
        """Every model and guidance in the index, in the order they came."""
        known = listed(self._index.read().manifests)
        return [digest for digest, blob in known.items() if self._kind(blob) in (MODEL_TYPE, GUIDANCE_TYPE)]

    def aliases(self) -> dict[str, str]:
        """The index's names for models."""
        return aliases_in(self._index.read().manifests)

    def referrers(self, digest: str) -> list[Descriptor]:
        """Every artifact in the index whose subject is ``digest``."""
        found = []
        for blob in listed(self._index.read().manifests).values():
            if blob.artifact_type == MODEL_TYPE:
                continue
            manifest = self._parsed(blob)
            if manifest is not None and manifest.subject is not None and manifest.subject.digest == digest:
                found.append(untagged(blob).model_copy(update={"artifact_type": manifest.kind}))
        return found

    def move(self, alias: str, to: Descriptor | None, expected: Expected, entry: AuditEntry) -> AuditEntry:
        """Compare and swap under the index's lock; alias and log entry become visible in the same instant."""
        with self._index.changing() as index:
            known = listed(index.manifests)
            before = aliases_in(index.manifests).get(alias)
            if expected is not ANY and expected != before:
                raise AliasMoved(alias, expected=expected, found=before)
            if to is not None and to.digest not in known:
                raise UnknownVersion(to.digest, aliases_in(index.manifests), self.where)
            kept = [blob for blob in index.manifests if tagged(blob) != alias]
            gone = {blob.digest for blob in index.manifests} - {blob.digest for blob in kept}
            kept += [untagged(known[digest]) for digest in sorted(gone)]
            if to is not None:
                kept.append(tagged_as(untagged(known[to.digest]), alias))
            index.manifests[:] = kept
            entry = replace(entry, before=before)
            index.log(entry)
        return entry

    def record(self, entry: AuditEntry) -> None:
        """Appends to the log."""
        with self._index.changing() as index:
            index.log(entry)

    def audit(self) -> list[AuditEntry]:
        """The log, oldest first."""
        return self._index.audit()

    @contextmanager
    def lease(self, digest: str, holder: str, ttl_s: float) -> Generator[Lease]:
        """Holds a version against collection; one who may only read here holds nothing, and keeps what it pulled."""
        if not os.access(self._root / "vqc", os.W_OK):
            yield PlainLease(digest, holder)
            return
        with self._index.changing():
            if self.manifest(digest) is None:
                raise UnknownVersion(digest, self.aliases(), self.where)
            held = self._leases.take(digest, holder, ttl_s)
        with held:
            yield held

    def collect(self, extra_roots: Iterable[str], older_than_s: float, dry_run: bool) -> Collected:
        """Removes what nothing holds, while no push or pull runs."""
        if not _is_layout(self._root):
            return Collected(versions=(), blobs=(), freed_bytes=0)
        with locked(self._collecting, wait=False):
            with self._index.changing(write=not dry_run) as index:
                roots = {*aliases_in(index.manifests).values(), *self._leases.held(), *extra_roots}
                planned = plan(index, self.read, self._blobs, self._scratch, roots, older_than_s)
            if not dry_run:
                for path in planned.files:
                    path.unlink(missing_ok=True)
        return planned.collected

    def _blob(self, digest: str) -> Path:
        return self._blobs / digest.removeprefix("sha256:")

    def _kind(self, blob: Descriptor) -> str | None:
        """What a listed manifest is; other tools do not write it into the index."""
        if blob.artifact_type is not None:
            return blob.artifact_type
        manifest = self._parsed(blob)
        return MODEL_TYPE if manifest is not None and manifest.is_model else None

    def _parsed(self, blob: Descriptor) -> Manifest | None:
        """A listed manifest; None for an index of manifests, which another tool may keep here."""
        try:
            return Manifest.model_validate_json(self.read(blob))
        except ValidationError:
            return None


def _is_layout(root: Path) -> bool:
    return (root / "oci-layout").is_file()
