"""The port between the registry's rules and its storage. Two adapters: ``registry.layout`` and ``registry.remote``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol, TypeAlias

from registry.oci import Descriptor
from registry.values import AuditEntry, Collected, Expected, Lease

OnBytes: TypeAlias = Callable[[int], None]
"""Called with the number of bytes of one blob processed so far."""


class Store(Protocol):
    """Blobs, manifests and aliases. A blob stays invisible until a manifest that lists it is added."""

    @property
    def where(self) -> str:
        """The location, as messages show it."""
        ...

    @property
    def ordered_log(self) -> bool:
        """Whether the log is in the order of events; a remote log is sorted by its writers' clocks."""
        ...

    def reading(self) -> AbstractContextManager[None]:
        """Held during a pull, so that no garbage collection runs meanwhile."""
        ...

    def adding(self) -> AbstractContextManager[None]:
        """Held during a push, so that no garbage collection runs meanwhile. Creates the store if it is new."""
        ...

    def add_file(self, file: Path, media_type: str, on_bytes: OnBytes) -> Descriptor:
        """Stores a file; returns early if its bytes are already stored. Thread-safe.

        Raises:
            StorageFull: no space left.
        """
        ...

    def add_bytes(self, content: bytes, media_type: str) -> Descriptor:
        """Stores a small blob."""
        ...

    def add_manifest(
        self,
        content: bytes,
        descriptor: Descriptor,
        subject: Descriptor | None = None,
        entry: AuditEntry | None = None,
    ) -> None:
        """Makes an artifact visible, attached to ``subject`` if given; all its blobs must be stored already.

        ``entry`` is logged if the artifact is new, and never later than it becomes visible.
        """
        ...

    def manifest(self, digest: str) -> bytes | None:
        """A manifest's bytes, verified; None if it does not exist.

        Raises:
            Corrupt: it is listed, but its bytes are missing or wrong.
        """
        ...

    def read(self, blob: Descriptor) -> bytes:
        """A small blob's bytes, verified."""
        ...

    def check(self, blob: Descriptor, on_bytes: OnBytes) -> None:
        """Reads and verifies every byte of a blob.

        Raises:
            Corrupt: it is missing, truncated or changed.
        """
        ...

    def fetch(self, blob: Descriptor, work: Path, on_bytes: OnBytes) -> Path:
        """A verified file with the blob's bytes, to be linked or copied; a remote blob is downloaded into ``work``."""
        ...

    def versions(self) -> list[str]:
        """The digests of all versions, oldest first if the order is known."""
        ...

    def aliases(self) -> dict[str, str]:
        """Maps each alias to a version's digest."""
        ...

    def referrers(self, digest: str) -> list[Descriptor]:
        """The artifacts attached to a version, with ``artifact_type`` set."""
        ...

    def move(self, alias: str, to: Descriptor | None, expected: Expected, entry: AuditEntry) -> AuditEntry:
        """Points an alias at a version (None: removes it) and logs it; returns the entry with ``before`` filled in.

        Raises:
            AliasMoved: the alias does not point at ``expected``.
        """
        ...

    def audit(self) -> list[AuditEntry]:
        """The log, oldest first."""
        ...

    def lease(self, digest: str, holder: str, ttl_s: float) -> AbstractContextManager[Lease]:
        """Protects a version from garbage collection."""
        ...

    def collect(
        self,
        extra_roots: Iterable[str],
        older_than_s: float,
        dry_run: bool,
        entry_of: Callable[[str], AuditEntry],
    ) -> Collected:
        """Removes what neither an alias, a lease nor ``extra_roots`` references.

        ``entry_of`` is the log entry of a version that is removed, logged with the removal.
        """
        ...
