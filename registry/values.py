"""The registry's plain values: what callers give and get. Importing them costs nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from typing import Final, Protocol, TypeAlias

Progress: TypeAlias = Callable[[str, int, int], None]
"""Called from several threads with a file's name, its bytes done so far, and its bytes in all."""


class _Any(Enum):
    ANY = "any"


ANY: Final = _Any.ANY
"""``expected=ANY``: move the alias wherever it is now."""

Expected: TypeAlias = str | _Any | None
"""Where an alias is thought to be: a digest, None (it does not exist) or ``ANY``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionFacts:
    """Where a version comes from. Digests are SHA-256 (hex); None or empty where nobody said.

    ``contract`` names the digests of ``vqc.contract`` it was trained under; ``evaluation`` is a short summary, the
    whole reports are attached to the version.
    """

    base_model: str | None = None
    adapter: str | None = None
    dataset: str | None = None
    run: str | None = None
    git_revision: str | None = None
    contract: Mapping[str, str] = field(default_factory=dict)
    evaluation: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One thing that was done to the registry. ``at`` is ISO 8601 in UTC; ``before``/``after`` are version digests."""

    at: str
    action: str  # push | move | collect
    alias: str | None
    before: str | None
    after: str | None
    actor: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Referrer:
    """Something attached to a version: an evaluation report, a promotion, a signature. ``created`` is ISO 8601, UTC."""

    digest: str
    artifact_type: str
    created: str
    content: bytes

    def json(self) -> object:
        """The content, where it is JSON."""
        return json.loads(self.content)


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What a garbage collection removed, or would remove. Digests; ``freed_bytes`` counts blobs and leftovers."""

    versions: tuple[str, ...]
    blobs: tuple[str, ...]
    freed_bytes: int


class Lease(Protocol):
    """A version held by somebody: no collection touches it. Renewed in the background until the block ends."""

    @property
    def digest(self) -> str:
        """The version held."""
        ...

    @property
    def holder(self) -> str:
        """Who holds it."""
        ...

    def renew(self) -> None:
        """Holds it for another ``ttl_s`` from now."""
        ...


@dataclass(frozen=True, slots=True)
class PlainLease:
    """A lease where nothing of ours could remove the version, or nothing may be written down about it."""

    digest: str
    holder: str

    def renew(self) -> None:
        """Nothing to do."""


def now() -> str:
    """The time of now: ISO 8601, UTC, microseconds."""
    return datetime.now(UTC).isoformat(timespec="microseconds")
