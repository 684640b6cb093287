"""The store port over the OCI distribution API."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, replace
from pathlib import Path

from pydantic import ValidationError
from typing_extensions import override

from registry.audit_log import last_moves, later_than, new_entry, parse_entry
from registry.errors import AliasMoved, Corrupt, RegistryUnavailable, UnsafeAnswer, Unsupported
from registry.names import is_digest, is_tag
from registry.oci import (
    CREATED,
    EMPTY,
    EMPTY_TYPE,
    INDEX_TYPE,
    MANIFEST_TYPE,
    Descriptor,
    Index,
    Manifest,
    canonical,
    descriptor_of,
    digest_of,
)
from registry.remote.blobs import Blobs
from registry.remote.transport import Transport
from registry.store import OnBytes, Store
from registry.streams import map_in_threads
from registry.values import ANY, AuditEntry, Collected, Expected, Lease, UntrackedLease, parse_json
from registry.version import parse_manifest

_VERSION = "version."
_REFERRERS = "sha256-"
_RECORD_TYPE = "application/vnd.vqc.registry.entry.v1+json"
_MAX_TAGS = 100_000
_MAX_REFERRERS = 100_000
_ACCEPT = {"Accept": f"{MANIFEST_TYPE}, {INDEX_TYPE}"}


class RemoteStore(Store):
    """One repository of a remote registry."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._blobs = Blobs(transport)

    @classmethod
    def at(cls, address: str) -> RemoteStore:
        """The store at ``oci://host[:port]/repository``."""
        return cls(Transport.at(address))

    @property
    @override
    def where(self) -> str:
        return self._transport.where

    @property
    @override
    def ordered_log(self) -> bool:
        return False

    @override
    def reading(self) -> nullcontext[None]:
        return nullcontext()  # no lock: the server has its own garbage collection

    @override
    def adding(self) -> nullcontext[None]:
        return nullcontext()

    @override
    def add_file(self, file: Path, media_type: str, on_bytes: OnBytes) -> Descriptor:
        digest, size = self._blobs.upload(file, on_bytes)
        return Descriptor(media_type=media_type, digest=digest, size=size)

    @override
    def add_bytes(self, content: bytes, media_type: str) -> Descriptor:
        blob = descriptor_of(content, media_type)
        self._blobs.put(content, blob.digest)
        return blob

    @override
    def add_manifest(
        self,
        content: bytes,
        descriptor: Descriptor,
        subject: Descriptor | None = None,
        entry: AuditEntry | None = None,
    ) -> None:
        if subject is None:
            tag = f"{_VERSION}{descriptor.digest[7:]}"
            is_tagged = self._tag_digest(tag) == descriptor.digest
            if entry is not None:
                # A version is what its own tag names. So: the manifest, its log entry, the tag. A push that died in between
                # is not visible, and the next one finds its entry, or adds it where an earlier release left none.
                if not is_tagged:
                    self._put_manifest(descriptor.digest, content)
                if not any(found.action == entry.action for found in self._entries(descriptor.digest)):
                    self._record(entry, content)
            if not is_tagged:
                self._put_manifest(tag, content)  # the tag protects the version from the server's garbage collection
            return
        answer = self._put_manifest(descriptor.digest, content)
        if "oci-subject" not in answer:  # the server has no referrers API: keep the list under the fallback tag
            self._add_to_fallback_index(subject.digest, descriptor)

    @override
    def manifest(self, digest: str) -> bytes | None:
        answer = self._transport.request("GET", f"manifests/{digest}", accept=(200, 404), headers=_ACCEPT)
        if answer.status_code == 404:
            return None
        if digest.startswith("sha256:") and digest_of(answer.content) != digest:
            raise Corrupt(f"manifest {digest}", expected=digest, found=digest_of(answer.content))
        return answer.content

    @override
    def read(self, blob: Descriptor) -> bytes:
        return self._blobs.read(blob)

    @override
    def check(self, blob: Descriptor, on_bytes: OnBytes) -> None:
        self._blobs.check(blob, on_bytes)

    @override
    def fetch(self, blob: Descriptor, work: Path, on_bytes: OnBytes) -> Path:
        return self._blobs.download(blob, work, on_bytes)

    @override
    def versions(self) -> list[str]:
        found = (f"sha256:{tag.removeprefix(_VERSION)}" for tag in self._tags() if tag.startswith(_VERSION))
        return sorted(filter(is_digest, found))

    @override
    def aliases(self) -> dict[str, str]:
        names = [tag for tag in self._tags() if not tag.startswith((_VERSION, _REFERRERS))]
        digests = map_in_threads(self._tag_digest, names)
        return {alias: digest for alias, digest in sorted(zip(names, digests, strict=True)) if digest is not None}

    @override
    def referrers(self, digest: str) -> list[Descriptor]:
        return [blob for blob in self._referrers(digest) if blob.artifact_type != _RECORD_TYPE]

    @override
    def move(self, alias: str, to: Descriptor | None, expected: Expected, entry: AuditEntry) -> AuditEntry:
        # A tag has no compare-and-swap: read, log, write, read again. Logged first, so that no move is ever unlogged.
        before = self._tag_digest(alias)
        if expected is not ANY and expected != before:
            raise AliasMoved(alias, expected=expected, found=before)
        if to is None:
            raise Unsupported(
                self.where, f"alias {alias!r} cannot be removed here; delete the tag with the registry's own tool"
            )
        content = self.manifest(to.digest)
        if content is None:
            raise RegistryUnavailable(self.where, f"manifest {to.digest} no longer exists")
        entry = replace(entry, before=before, at=later_than(self._repair_alias(alias, before)))
        self._record(entry, content)
        self._put_manifest(alias, content)
        if (after := self._tag_digest(alias)) != to.digest:
            raise AliasMoved(alias, expected=to.digest, found=after)
        return entry

    def _repair_alias(self, alias: str, now: str | None) -> AuditEntry | None:
        """Logs where an alias points if a process died between the entry of a move and the move. Returns its last entry."""
        last = last_moves(self._log()).get(alias)
        if last is None or last.after == now or (manifest := self.manifest(now or last.after or "")) is None:
            return last
        reason = "repair: the move before was logged, but not made"
        fix = new_entry("move", alias=alias, before=last.after, after=now, actor=None, reason=reason)
        fix = replace(fix, at=later_than(last))
        self._record(fix, manifest)
        return fix

    def _record(self, entry: AuditEntry, content: bytes) -> None:
        """Logs an entry as an attachment of the version whose manifest is ``content``."""
        subject = descriptor_of(content, MANIFEST_TYPE)
        record = Manifest(
            artifact_type=_RECORD_TYPE,
            config=self.add_bytes(EMPTY, EMPTY_TYPE),
            layers=(self.add_bytes(canonical(asdict(entry)), "application/json"),),
            subject=subject,
            annotations={CREATED: entry.at},
        ).to_bytes()
        self.add_manifest(record, descriptor_of(record, MANIFEST_TYPE, artifactType=_RECORD_TYPE), subject)

    @override
    def audit(self) -> list[AuditEntry]:
        # The last entry of an alias does not count while the tag still points where it did before: its writer has died
        # or has not finished. The next move logs a repair.
        log = self._log()
        aliases = self.aliases()
        unfinished = [
            entry for alias, entry in last_moves(log).items() if aliases.get(alias) == entry.before != entry.after
        ]
        return [entry for entry in log if not any(entry is other for other in unfinished)]

    def _log(self) -> list[AuditEntry]:
        entries = [entry for some in map_in_threads(self._entries, self.versions()) for entry in some]
        return sorted(entries, key=lambda entry: entry.at)

    @override
    @contextmanager
    def lease(self, digest: str, holder: str, ttl_s: float) -> Generator[Lease]:
        yield UntrackedLease(digest, holder)

    @override
    def collect(
        self,
        extra_roots: Iterable[str],
        older_than_s: float,
        dry_run: bool,
        entry_of: Callable[[str], AuditEntry],
    ) -> Collected:
        raise Unsupported(
            self.where,
            "a remote registry runs its own garbage collection; exclude the tags version.* from its retention rules",
        )

    def _tags(self) -> list[str]:
        tags: dict[str, None] = {}
        for answer in self._transport.pages("tags/list?n=1000"):
            try:
                page = parse_json(answer.content)
            except ValueError as error:
                raise Corrupt(f"{self.where}: list of tags", expected="JSON", found=str(error)) from error
            found = page.get("tags") if isinstance(page, dict) else None
            names = found if isinstance(found, list) else []
            tags |= dict.fromkeys(tag for tag in names if isinstance(tag, str) and is_tag(tag))
            if len(tags) > _MAX_TAGS:
                raise UnsafeAnswer(self.where, f"its list of tags is longer than {_MAX_TAGS:,}")
        return list(tags)

    def _tag_digest(self, tag: str) -> str | None:
        """The digest that a tag points to; computed from the manifest if the registry does not report it."""
        answer = self._transport.request("HEAD", f"manifests/{tag}", accept=(200, 404), headers=_ACCEPT)
        if answer.status_code == 404:
            return None
        digest = answer.headers.get("docker-content-digest", "")
        if is_digest(digest):
            return digest
        content = self.manifest(tag)
        return None if content is None else digest_of(content)

    def _put_manifest(self, name: str, content: bytes) -> dict[str, str]:
        headers = {"Content-Type": MANIFEST_TYPE if b'"config"' in content else INDEX_TYPE}
        answer = self._transport.request("PUT", f"manifests/{name}", accept=(201,), headers=headers, content=content)
        return {key.lower(): value for key, value in answer.headers.items()}

    def _add_to_fallback_index(self, subject: str, blob: Descriptor) -> None:
        """Adds to the fallback list of referrers, repeating if another writer overwrote it."""
        # The tag has no compare-and-swap, so the list is read again after each write until it contains our entry.
        for _ in range(10):
            index = _index(self.manifest(_fallback_tag(subject)))
            if blob.digest in {entry.digest for entry in index.manifests}:
                return
            content = index.model_copy(update={"manifests": (*index.manifests, blob)}).to_bytes()
            self._put_manifest(_fallback_tag(subject), content)
        raise RegistryUnavailable(self.where, f"other writers keep changing the referrers of {subject}; try again")

    def _referrers(self, digest: str) -> list[Descriptor]:
        """The list of referrers, from the referrers API or, on a registry without it, from the fallback tag."""
        found: list[Descriptor] | None = None
        for answer in self._transport.pages(f"referrers/{digest}", {"Accept": INDEX_TYPE}):
            found = [*(found or []), *_index(answer.content).manifests]
            if len(found) > _MAX_REFERRERS:
                raise UnsafeAnswer(self.where, f"its list of referrers of {digest} is longer than {_MAX_REFERRERS:,}")
        return found if found is not None else list(_index(self.manifest(_fallback_tag(digest))).manifests)

    def _entries(self, digest: str) -> list[AuditEntry]:
        found = []
        for blob in self._referrers(digest):
            if blob.artifact_type == _RECORD_TYPE:
                record = parse_manifest(blob.digest, self.manifest(blob.digest) or b"")
                content = self.read(record.layers[0]) if record.layers else b""
                found.append(parse_entry(content, f"log entry {blob.digest}"))
        return found


def _fallback_tag(digest: str) -> str:
    """The tag that holds the list of referrers on a registry without the referrers API (OCI distribution, 1.1)."""
    return digest.replace(":", "-")


def _index(content: bytes | None) -> Index:
    if content is None:
        return Index()
    try:
        return Index.model_validate_json(content)
    except ValidationError as error:
        raise Corrupt("list of referrers", expected="an OCI index", found=str(error.errors()[0]["msg"])) from error
