"""Artifacts of small files, such as guidance and inspections: how one is stored, and how its manifest is read."""

from __future__ import annotations

from collections.abc import Mapping

from registry.audit_log import new_entry
from registry.errors import Corrupt
from registry.oci import EMPTY, EMPTY_TYPE, MANIFEST_TYPE, TITLE, Manifest, descriptor_of
from registry.store import Store
from registry.version import parse_manifest


def push_files(
    store: Store,
    artifact_type: str,
    files: Mapping[str, bytes],
    media_type: str,
    annotations: Mapping[str, str],
    *,
    actor: str | None,
    reason: str,
) -> str:
    """Stores ``files``, by name, as the layers of an artifact; returns its digest. Identical arguments give the same one."""
    with store.adding():
        layers = tuple(
            store.add_bytes(content, media_type).model_copy(update={"annotations": {TITLE: name}})
            for name, content in files.items()
        )
        config = store.add_bytes(EMPTY, EMPTY_TYPE)
        notes = dict(annotations)
        manifest = Manifest(artifact_type=artifact_type, config=config, layers=layers, annotations=notes).to_bytes()
        blob = descriptor_of(manifest, MANIFEST_TYPE, artifactType=artifact_type)
        store.add_manifest(manifest, blob, entry=new_entry("push", after=blob.digest, actor=actor, reason=reason))
    return blob.digest


def stored_manifest(store: Store, digest: str) -> Manifest:
    """The manifest with this digest. Raises ``Corrupt`` where it is missing or is none."""
    content = store.manifest(digest)
    if content is None:
        raise Corrupt(digest, expected="a manifest", found="missing")
    return parse_manifest(digest, content)
