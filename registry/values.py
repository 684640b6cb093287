"""The registry's plain values, for its callers. Importing this module is cheap."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from typing import Final, Protocol, TypeAlias

Progress: TypeAlias = Callable[[str, int, int], None]
"""Called from several threads with a file's name, its bytes processed so far, and its size in bytes."""


_MAX_DEPTH = 100


class _Any(Enum):
    ANY = "any"


ANY: Final = _Any.ANY
"""``expected=ANY``: move the alias wherever it points now."""

Expected: TypeAlias = str | _Any | None
"""Where the caller expects an alias to point: a digest, None (it does not exist) or ``ANY``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionFacts:
    """Where a version comes from. Digests are SHA-256 (hex); None or empty if unknown.

    ``contract`` holds the digests of ``vqc.contract`` that it was trained under. ``evaluation`` is a short summary; the
    complete reports are attached to the version.
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
    """One change to the registry. ``at`` is ISO 8601 in UTC; ``before`` and ``after`` are version digests."""

    at: str
    action: str  # push | move | collect
    alias: str | None
    before: str | None
    after: str | None
    actor: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Referrer:
    """An artifact attached to a version: an evaluation report, a promotion, a signature. ``created`` is ISO 8601, UTC."""

    digest: str
    artifact_type: str
    created: str
    content: bytes

    def json(self) -> object:
        """The content, parsed as JSON."""
        return parse_json(self.content)


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What a garbage collection removed, or would remove: digests; ``freed_bytes`` counts blobs and partial files."""

    versions: tuple[str, ...]
    blobs: tuple[str, ...]
    freed_bytes: int


class Lease(Protocol):
    """Protects a version from garbage collection. Renewed in the background until the block ends."""

    @property
    def digest(self) -> str:
        """The leased version."""
        ...

    @property
    def holder(self) -> str:
        """The name of the process or purpose that holds the lease."""
        ...

    def renew(self) -> None:
        """Extends the lease by ``ttl_s`` from now."""
        ...


@dataclass(frozen=True, slots=True)
class UntrackedLease:
    """A lease that is not stored: this registry never removes versions itself, or it is read-only."""

    digest: str
    holder: str

    def renew(self) -> None:
        """Does nothing."""


def parse_json(content: bytes | str) -> object:
    """The JSON value in ``content``. Raises ``ValueError``, also for what is nested too deeply to be copied or written."""
    try:
        value = json.loads(content)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    level: list[object] = [value]
    for _ in range(_MAX_DEPTH):
        level = [
            part
            for inner in level
            if isinstance(inner, dict | list)
            for part in (inner.values() if isinstance(inner, dict) else inner)
            if isinstance(part, dict | list)
        ]
        if not level:
            return value
    raise ValueError(f"it is nested more than {_MAX_DEPTH} levels deep")


def utc_now() -> str:
    """The current time: ISO 8601, UTC, microseconds."""
    return datetime.now(UTC).isoformat(timespec="microseconds")
