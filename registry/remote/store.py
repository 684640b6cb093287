"""The store port over the OCI distribution API."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, replace
from pathlib import Path

from pydantic import ValidationError

from registry.errors import AliasMoved, Corrupt, RegistryUnavailable, Unsupported
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
    described,
    digest_of,
)
from registry.remote.blobs import Blobs
from registry.remote.transport import Transport
from registry.store import OnBytes
from registry.streams import each
from registry.values import ANY, AuditEntry, Collected, Expected, Lease, PlainLease

_VERSION = "version."
_REFERRERS = "sha256-"
_RECORD_TYPE = "application/vnd.vqc.registry.entry.v1+json"
_ACCEPT = {"Accept": f"{MANIFEST_TYPE}, {INDEX_TYPE}"}


class RemoteStore:
    """One repository of one registry."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._blobs = Blobs(transport)

    @classmethod
    def at(cls, address: str) -> RemoteStore:
        """The store at ``oci://host[:port]/repository``."""
        return cls(Transport.at(address))

    @property
    def where(self) -> str:
        """Its address."""
        return self._transport.where

    @property
    def ordered_log(self) -> bool:
        """It has not."""
        return False

    def reading(self) -> nullcontext[None]:
        """Nothing to hold: the server collects by its own rules."""
        return nullcontext()

    adding = reading

    def add_file(self, file: Path, media_type: str, on_bytes: OnBytes) -> Descriptor:
        """Uploads a file unless the registry has it."""
        digest, size = self._blobs.upload(file, on_bytes)
        return Descriptor(media_type=media_type, digest=digest, size=size)

    def add_bytes(self, content: bytes, media_type: str) -> Descriptor:
        """Uploads a small blob."""
        blob = described(content, media_type)
        self._blobs.put(content, blob.digest)
        return blob

    def add_manifest(self, content: bytes, descriptor: Descriptor, subject: Descriptor | None = None) -> None:
        """A version gets the tag that keeps it; what is attached to one enters the list of its referrers."""
        if subject is None:
            self._put_manifest(f"{_VERSION}{descriptor.digest[7:]}", content)
            return
        answer = self._put_manifest(descriptor.digest, content)
        if "oci-subject" not in answer:
            self._list_referrer(subject.digest, descriptor)

    def manifest(self, digest: str) -> bytes | None:
        """A manifest's bytes, checked."""
        answer = self._transport.ask("GET", f"manifests/{digest}", accept=(200, 404), headers=_ACCEPT)
        if answer.status_code == 404:
            return None
        if digest.startswith("sha256:") and digest_of(answer.content) != digest:
            raise Corrupt(f"manifest {digest}", expected=digest, found=digest_of(answer.content))
        return answer.content

    def read(self, blob: Descriptor) -> bytes:
        """A small blob's bytes, checked."""
        return self._blobs.read(blob)

    def check(self, blob: Descriptor, on_bytes: OnBytes) -> None:
        """Reads every byte from the registry."""
        self._blobs.check(blob, on_bytes)

    def fetch(self, blob: Descriptor, work: Path, on_bytes: OnBytes) -> Path:
        """Downloads it into ``work``, or goes on with what is there."""
        return self._blobs.download(blob, work, on_bytes)

    def versions(self) -> list[str]:
        """Every version that has its tag, by digest."""
        return sorted(f"sha256:{tag.removeprefix(_VERSION)}" for tag in self._tags() if tag.startswith(_VERSION))

    def aliases(self) -> dict[str, str]:
        """The repository's tags, less those that the registry itself uses."""
        names = [tag for tag in self._tags() if not tag.startswith((_VERSION, _REFERRERS))]
        digests = each(self._tag_digest, names)
        return {alias: digest for alias, digest in sorted(zip(names, digests, strict=True)) if digest is not None}

    def referrers(self, digest: str) -> list[Descriptor]:
        """By the referrers API, else by the tag that the specification falls back to."""
        answer = self._transport.ask("GET", f"referrers/{digest}", accept=(200, 404), headers={"Accept": INDEX_TYPE})
        content = answer.content if answer.status_code == 200 else self.manifest(_fallback(digest))
        return [blob for blob in _index(content).manifests if blob.artifact_type != _RECORD_TYPE]

    def move(self, alias: str, to: Descriptor | None, expected: Expected, entry: AuditEntry) -> AuditEntry:
        """Read, record, write, read again: a tag has no compare-and-swap."""
        before = self._tag_digest(alias)
        if expected is not ANY and expected != before:
            raise AliasMoved(alias, expected=expected, found=before)
        if to is None:
            raise Unsupported(
                self.where, f"alias {alias!r} cannot be removed here; the registry's own tool deletes a tag"
            )
        content = self.manifest(to.digest)
        if content is None:
            raise RegistryUnavailable(self.where, f"manifest {to.digest} is gone")
        entry = replace(entry, before=before)
        self.record(entry)
        self._put_manifest(alias, content)
        if (now := self._tag_digest(alias)) != to.digest:
            raise AliasMoved(alias, expected=to.digest, found=now)
        return entry

    def record(self, entry: AuditEntry) -> None:
        """Attaches an entry to the version it is about."""
        digest = entry.after or entry.before
        content = self.manifest(digest) if digest is not None else None
        if content is None:
            raise RegistryUnavailable(self.where, f"manifest {digest} is gone; nothing was recorded")
        subject = described(content, MANIFEST_TYPE)
        record = Manifest(
            artifact_type=_RECORD_TYPE,
            config=self.add_bytes(EMPTY, EMPTY_TYPE),
            layers=(self.add_bytes(canonical(asdict(entry)), "application/json"),),
            subject=subject,
            annotations={CREATED: entry.at},
        ).to_bytes()
        self.add_manifest(record, described(record, MANIFEST_TYPE, artifactType=_RECORD_TYPE), subject)

    def audit(self) -> list[AuditEntry]:
        """The entries of all versions, by their writers' clocks."""
        entries = [entry for found in each(self._entries, self.versions()) for entry in found]
        return sorted(entries, key=lambda entry: entry.at)

    @contextmanager
    def lease(self, digest: str, holder: str, ttl_s: float) -> Generator[Lease]:
        """Held without more: nothing of ours removes a version from a remote registry."""
        yield PlainLease(digest, holder)

    def collect(self, extra_roots: Iterable[str], older_than_s: float, dry_run: bool) -> Collected:
        """The server's own garbage collection and retention rules do this."""
        raise Unsupported(
            self.where, "a remote registry is collected by its own rules; keep the tags version.* out of them"
        )

    def _tags(self) -> list[str]:
        tags: list[str] = []
        url: str | None = "tags/list?n=1000"
        while url is not None:
            answer = self._transport.ask("GET", url, accept=(200, 404))
            if answer.status_code == 404:
                return tags
            tags += answer.json().get("tags") or []
            following = answer.links.get("next")
            url = str(answer.url.join(following["url"])) if following else None
        return tags

    def _tag_digest(self, tag: str) -> str | None:
        """What a tag points at; by its bytes where the registry does not say."""
        answer = self._transport.ask("HEAD", f"manifests/{tag}", accept=(200, 404), headers=_ACCEPT)
        if answer.status_code == 404:
            return None
        said = answer.headers.get("docker-content-digest")
        return said or digest_of(self.manifest(tag) or b"")

    def _put_manifest(self, name: str, content: bytes) -> dict[str, str]:
        headers = {"Content-Type": MANIFEST_TYPE if b'"config"' in content else INDEX_TYPE}
        answer = self._transport.ask("PUT", f"manifests/{name}", accept=(201,), headers=headers, content=content)
        return {key.lower(): value for key, value in answer.headers.items()}

    def _list_referrer(self, subject: str, blob: Descriptor) -> None:
        """Adds to the fallback list and looks whether another writer's list came over it."""
        for _ in range(10):
            index = _index(self.manifest(_fallback(subject)))
            if blob.digest in {listed.digest for listed in index.manifests}:
                return
            content = index.model_copy(update={"manifests": (*index.manifests, blob)}).to_bytes()
            self._put_manifest(_fallback(subject), content)
        raise RegistryUnavailable(self.where, f"other writers keep changing the referrers of {subject}; run this again")

    def _entries(self, digest: str) -> list[AuditEntry]:
        answer = self._transport.ask("GET", f"referrers/{digest}", accept=(200, 404), headers={"Accept": INDEX_TYPE})
        content = answer.content if answer.status_code == 200 else self.manifest(_fallback(digest))
        found = []
        for blob in _index(content).manifests:
            if blob.artifact_type == _RECORD_TYPE:
                record = Manifest.model_validate_json(self.manifest(blob.digest) or b"")
                found.append(AuditEntry(**json.loads(self.read(record.layers[0]))))
        return found


def _fallback(digest: str) -> str:
    """The tag of the list of referrers on a registry without the referrers API."""
    return digest.replace(":", "-")


def _index(content: bytes | None) -> Index:
    if content is None:
        return Index()
    try:
        return Index.model_validate_json(content)
    except ValidationError as error:
        raise Corrupt("list of referrers", expected="an OCI index", found=str(error.errors()[0]["msg"])) from error
