"""Reports, records and signatures as OCI referrers: small artifacts whose subject is a version."""

from __future__ import annotations

import re

from registry.oci import (
    CREATED,
    EMPTY,
    EMPTY_TYPE,
    MANIFEST_TYPE,
    MAX_ATTACHMENT,
    Descriptor,
    Manifest,
    canonical,
    descriptor_of,
)
from registry.store import Store
from registry.values import Referrer, utc_now
from registry.version import parse_manifest
from vqc.errors import InvalidValue

_MEDIA_TYPE = re.compile(r"[A-Za-z0-9][\w.+-]*/[A-Za-z0-9][\w.+-]*")


def attach(store: Store, subject: Descriptor, artifact_type: str, content: bytes | dict[str, object]) -> str:
    """Stores ``content`` as an artifact that refers to ``subject`` and returns its digest.

    A dict is stored as JSON. The manifest records the current time.

    Raises:
        InvalidValue: ``artifact_type`` is not a media type, or ``content`` is too large to be read again.
    """
    if not _MEDIA_TYPE.fullmatch(artifact_type):
        raise InvalidValue("artifact_type", artifact_type, "name a media type such as application/vnd.vqc.report+json")
    is_bytes = isinstance(content, bytes)
    body = content if is_bytes else canonical(content)
    if len(body) > MAX_ATTACHMENT:
        raise InvalidValue("content", f"{len(body):,} bytes", f"attach at most {MAX_ATTACHMENT:,} bytes")
    with store.adding():
        manifest = Manifest(
            artifact_type=artifact_type,
            config=store.add_bytes(EMPTY, EMPTY_TYPE),
            layers=(store.add_bytes(body, "application/octet-stream" if is_bytes else "application/json"),),
            subject=subject,
            annotations={CREATED: utc_now()},
        ).to_bytes()
        blob = descriptor_of(manifest, MANIFEST_TYPE, artifactType=artifact_type)
        store.add_manifest(manifest, blob, subject)
    return blob.digest


def read_referrers(store: Store, digest: str, artifact_type: str | None) -> list[Referrer]:
    """The artifacts that refer to a version (all types if None), oldest first; contents are read and verified."""
    found = [_read(store, blob) for blob in store.referrers(digest) if artifact_type in (None, blob.artifact_type)]
    return sorted(found, key=lambda referrer: (referrer.created, referrer.digest))


def _read(store: Store, blob: Descriptor) -> Referrer:
    manifest = parse_manifest(blob.digest, store.manifest(blob.digest) or b"")
    return Referrer(
        digest=blob.digest,
        artifact_type=manifest.kind,
        created=(manifest.annotations or {}).get(CREATED, ""),
        content=store.read(manifest.layers[0]) if manifest.layers else b"",
    )
