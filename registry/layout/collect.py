"""Garbage collection of a layout: finds what no alias, lease or other version references.

Runs alone (no push, no pull) under the index lock. Versions leave the index before their blobs are deleted, so a
collection that is killed leaves only unlisted blobs, which the next one removes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from registry.layout.index import OpenIndex, by_digest
from registry.oci import CREATED, INDEX_TYPE, MANIFEST_TYPE, Descriptor, Manifest
from registry.values import Collected
from registry.version import Version


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionPlan:
    """What to remove: versions and attachments from the index, then ``files`` from the disk."""

    collected: Collected
    files: tuple[Path, ...]


def plan_collection(
    index: OpenIndex,
    read: Callable[[Descriptor], bytes],
    blobs: Path,
    scratch: Path,
    roots: set[str],
    older_than_s: float,
) -> CollectionPlan:
    """Finds everything that ``roots`` do not reference and removes it from ``index``, in place.

    Raises:
        Corrupt: a listed artifact cannot be read.
    """
    known = by_digest(index.manifests)
    contents = {digest: read(blob) for digest, blob in known.items()}
    subjects = {digest: subject for digest, content in contents.items() if (subject := _subject(content))}
    bases = {digest: Version.parse(digest, content).base for digest, content in contents.items() if _is_model(content)}
    live = roots | {digest for digest in bases if _age_s(known[digest]) < older_than_s}
    live |= known.keys() - bases.keys() - subjects.keys()  # other tools' artifacts
    # Bases first, then attachments: an attachment of a base is live too, but an attachment never has a base.
    while more := {base for digest in live if (base := bases.get(digest))} - live:
        live |= more
    while more := {digest for digest, subject in subjects.items() if subject in live} - live:
        live |= more
    dead = [digest for digest in known if digest not in live]
    needed = {part for digest in known if digest in live for part in _reachable(contents[digest], read)} | live
    orphans = [path for path in blobs.iterdir() if f"sha256:{path.name}" not in needed] if blobs.exists() else []
    leftovers = list(scratch.iterdir()) if scratch.exists() else []
    freed = sum(path.stat().st_size for path in [*orphans, *leftovers])
    index.manifests[:] = [blob for blob in index.manifests if blob.digest in live]
    collected = Collected(
        versions=tuple(digest for digest in dead if digest in bases),
        blobs=tuple(f"sha256:{path.name}" for path in orphans),
        freed_bytes=freed,
    )
    return CollectionPlan(collected=collected, files=(*orphans, *leftovers))


def _reachable(content: bytes, read: Callable[[Descriptor], bytes]) -> Generator[str]:
    """Every digest that a manifest lists, including those of nested manifests."""
    document = json.loads(content)
    for part in [document.get("config"), *document.get("layers", []), *document.get("manifests", [])]:
        if part is None:
            continue
        yield part["digest"]
        if part["mediaType"] in (MANIFEST_TYPE, INDEX_TYPE):
            yield from _reachable(read(Descriptor.model_validate(part)), read)


def _subject(content: bytes) -> str | None:
    return (json.loads(content).get("subject") or {}).get("digest")


def _is_model(content: bytes) -> bool:
    document = json.loads(content)
    return "config" in document and Manifest.model_validate(document).is_model


def _age_s(blob: Descriptor) -> float:
    created = (blob.annotations or {}).get(CREATED)
    return (datetime.now(UTC) - datetime.fromisoformat(created)).total_seconds() if created else float("inf")
