"""Garbage collection of a layout: finds what no alias, lease or other version references.

Runs alone (no push, no pull) under the index lock. Versions leave the index before their blobs are deleted, so a
collection that is killed leaves only unlisted blobs, which the next one removes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ValidationError

from registry.errors import Corrupt
from registry.layout.index import OpenIndex, by_digest
from registry.oci import CREATED, INDEX_TYPE, MANIFEST_TYPE, Descriptor
from registry.values import Collected
from registry.version import Version, parse_manifest


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
    subjects = {digest: subject for digest, content in contents.items() if (subject := _subject(digest, content))}
    models = [digest for digest, content in contents.items() if _is_model(digest, content)]
    bases = {digest: Version.parse(digest, contents[digest]).base for digest in models}
    live = roots | {digest for digest in bases if _age_s(known[digest]) < older_than_s}
    live |= known.keys() - bases.keys() - subjects.keys()  # other tools' artifacts
    # Bases first, then attachments: an attachment of a base is live too, but an attachment never has a base.
    while more := {base for digest in live if (base := bases.get(digest))} - live:
        live |= more
    while more := {digest for digest, subject in subjects.items() if subject in live} - live:
        live |= more
    dead = [digest for digest in known if digest not in live]
    needed = {part for digest in known if digest in live for part in _reachable(digest, contents[digest], read)} | live
    orphans = [path for path in _files_in(blobs) if f"sha256:{path.name}" not in needed]
    leftovers = _files_in(scratch)
    freed = sum(path.lstat().st_size for path in [*orphans, *leftovers])
    index.manifests[:] = [blob for blob in index.manifests if blob.digest in live]
    collected = Collected(
        versions=tuple(digest for digest in dead if digest in bases),
        blobs=tuple(f"sha256:{path.name}" for path in orphans),
        freed_bytes=freed,
    )
    return CollectionPlan(collected=collected, files=(*orphans, *leftovers))


def _files_in(folder: Path) -> list[Path]:
    """The files and links of a folder; a folder in it belongs to another tool."""
    return [path for path in folder.iterdir() if path.is_symlink() or not path.is_dir()] if folder.exists() else []


def _reachable(digest: str, content: bytes, read: Callable[[Descriptor], bytes]) -> set[str]:
    """Every digest that a manifest lists, including those of nested manifests."""
    found: set[str] = set()
    rest = [(digest, content)]
    while rest:
        document = _document(*rest.pop())
        for part in (document.config, *document.layers, *document.manifests):
            if part is None or part.digest in found:
                continue
            found.add(part.digest)
            if part.media_type in (MANIFEST_TYPE, INDEX_TYPE):
                rest.append((part.digest, read(part)))
    return found


class _Parts(BaseModel):
    """What a manifest or an index refers to."""

    config: Descriptor | None = None
    layers: tuple[Descriptor, ...] = ()
    manifests: tuple[Descriptor, ...] = ()
    subject: Descriptor | None = None


def _document(digest: str, content: bytes) -> _Parts:
    """The manifest or index in ``content``. Raises ``Corrupt``: what it refers to is unknown, so nothing can be removed."""
    try:
        return _Parts.model_validate_json(content)
    except ValidationError as error:
        raise Corrupt(digest, expected="a manifest or an index", found=str(error.errors()[0]["msg"])) from error


def _subject(digest: str, content: bytes) -> str | None:
    subject = _document(digest, content).subject
    return subject.digest if subject is not None else None


def _is_model(digest: str, content: bytes) -> bool:
    return _document(digest, content).config is not None and parse_manifest(digest, content).is_model


def _age_s(blob: Descriptor) -> float:
    created = (blob.annotations or {}).get(CREATED)
    try:
        at = datetime.fromisoformat(created) if created else None
    except ValueError:
        return float("inf")
    return (datetime.now(UTC) - (at if at.tzinfo else at.replace(tzinfo=UTC))).total_seconds() if at else float("inf")
