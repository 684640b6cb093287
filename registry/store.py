"""The port between the registry's rules and where its bytes are. Two adapters: ``registry.layout`` and ``registry.remote``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol, TypeAlias

from registry.oci import Descriptor
from registry.values import AuditEntry, Collected, Expected, Lease

OnBytes: TypeAlias = Callable[[int], None]
"""Called with the bytes of one blob done so far."""


class Store(Protocol):
    """Blobs, manifests and aliases. What is added stays invisible until a manifest that names it is added."""

    @property
    def where(self) -> str:
        """How messages name it."""
        ...

    @property
    def ordered_log(self) -> bool:
        """Whether the log has the order in which things happened; a remote one goes by its writers' clocks."""
        ...

    def reading(self) -> AbstractContextManager[None]:
        """Held during a pull: no collection runs meanwhile."""
        ...

    def adding(self) -> AbstractContextManager[None]:
        """Held during a push: no collection runs meanwhile. Makes the store if it is new."""
        ...

    def add_file(self, file: Path, media_type: str, on_bytes: OnBytes) -> Descriptor:
        """Takes a file in; at once where its bytes are already there. Thread-safe.

        Raises:
            StorageFull: no room.
        """
        ...

    def add_bytes(self, content: bytes, media_type: str) -> Descriptor:
        """Takes a small blob in."""
        ...

    def add_manifest(self, content: bytes, descriptor: Descriptor, subject: Descriptor | None = None) -> None:
        """Makes an artifact visible, attached to ``subject`` if given; all its blobs are there."""
        ...

    def manifest(self, digest: str) -> bytes | None:
        """A manifest's bytes, checked; None where there is none.

        Raises:
            Corrupt: it is listed but its bytes are missing or others.
        """
        ...

    def read(self, blob: Descriptor) -> bytes:
        """A small blob's bytes, checked."""
        ...

    def check(self, blob: Descriptor, on_bytes: OnBytes) -> None:
        """Reads every byte of a blob.

        Raises:
            Corrupt: it is missing, cut or changed.
        """
        ...

    def fetch(self, blob: Descriptor, work: Path, on_bytes: OnBytes) -> Path:
        """A checked file with the blob's bytes, to be linked or copied; a remote one is downloaded into ``work``."""
        ...

    def versions(self) -> list[str]:
        """Digests of every model in it, oldest first where that is known."""
        ...

    def aliases(self) -> dict[str, str]:
        """Alias → version digest."""
        ...

    def referrers(self, digest: str) -> list[Descriptor]:
        """What is attached to a version; ``artifact_type`` is set."""
        ...

    def move(self, alias: str, to: Descriptor | None, expected: Expected, entry: AuditEntry) -> AuditEntry:
        """Points an alias at a version (None: removes it) and records it; the entry with ``before`` filled in.

        Raises:
            AliasMoved: it is not at ``expected``.
        """
        ...

    def record(self, entry: AuditEntry) -> None:
        """Appends to the log what is no move."""
        ...

    def audit(self) -> list[AuditEntry]:
        """The log, oldest first."""
        ...

    def lease(self, digest: str, holder: str, ttl_s: float) -> AbstractContextManager[Lease]:
        """Holds a version against collection."""
        ...

    def collect(self, extra_roots: Iterable[str], older_than_s: float, dry_run: bool) -> Collected:
        """Removes what nothing holds."""
        ...
