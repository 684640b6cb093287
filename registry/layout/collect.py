"""Garbage collection of a layout: what nothing holds goes, and nothing else.

Runs alone (no push, no pull) with the index's lock. Versions leave the index before their blobs are deleted: a collection
that is killed leaves blobs that no version names, which the next one removes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from registry.layout.index import OpenIndex, listed
from registry.oci import CREATED, INDEX_TYPE, MANIFEST_TYPE, Descriptor, Manifest
from registry.values import Collected
from registry.version import Version


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to remove: versions and attachments from the index, then ``files`` from the disk."""

    collected: Collected
    files: tuple[Path, ...]


def plan(
    index: OpenIndex,
    read: Callable[[Descriptor], bytes],
    blobs: Path,
    scratch: Path,
    roots: set[str],
    older_than_s: float,
) -> Plan:
    """What ``roots`` do not hold. ``index`` is changed in place.

    Raises:
        Corrupt: something listed cannot be read.
    """
    known = listed(index.manifests)
    contents = {digest: read(blob) for digest, blob in known.items()}
    subjects = {digest: subject for digest, content in contents.items() if (subject := _subject(content))}
    bases = {digest: Version.parse(digest, content).base for digest, content in contents.items() if _is_model(content)}
    kept = roots | {digest for digest in bases if _age_s(known[digest]) < older_than_s}
    kept |= known.keys() - bases.keys() - subjects.keys()  # other tools' artifacts
    while more := {base for digest in kept if (base := bases.get(digest))} - kept:
        kept |= more
    while more := {digest for digest, subject in subjects.items() if subject in kept} - kept:
        kept |= more
    gone = [digest for digest in known if digest not in kept]
    needed = {digest for held in known if held in kept for digest in _reachable(contents[held], read)} | kept
    lost = [path for path in blobs.iterdir() if f"sha256:{path.name}" not in needed] if blobs.exists() else []
    leftovers = list(scratch.iterdir()) if scratch.exists() else []
    freed = sum(path.stat().st_size for path in [*lost, *leftovers])
    index.manifests[:] = [blob for blob in index.manifests if blob.digest in kept]
    collected = Collected(
        versions=tuple(digest for digest in gone if digest in bases),
        blobs=tuple(f"sha256:{path.name}" for path in lost),
        freed_bytes=freed,
    )
    return Plan(collected=collected, files=(*lost, *leftovers))


def _reachable(content: bytes, read: Callable[[Descriptor], bytes]) -> Generator[str]:
    """Every digest that a manifest names, and those that manifests inside it name."""
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
