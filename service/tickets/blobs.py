"""The port to where the bytes of photos are kept, by their digest."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol


class BlobStore(Protocol):
    """Content-addressed bytes. Every call raises ``QueueUnavailable`` when the store does not answer."""

    async def put(self, digest: str, data: bytes) -> None:
        """Keeps ``data`` under its SHA-256 (hex); all of it or nothing."""
        ...

    async def get(self, digest: str) -> bytes:
        """The bytes, checked against the digest. Raises ``BlobMissing``."""
        ...

    async def remove(self, before: datetime) -> int:
        """Forgets what was last put before a moment; how many."""
        ...
