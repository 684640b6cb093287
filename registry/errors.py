"""What can go wrong with a registry; a branch of the tree in ``vqc.errors``.

VqcError
├── InvalidValue
│   ├── UnknownVersion       no version has this alias or digest
│   └── NotACheckpoint       a directory that cannot be a version, or an adapter without its base
└── RegistryError
    ├── Corrupt              bytes that are not what their digest says: which file, expected and found
    ├── AliasMoved           compare-and-swap lost: somebody moved the alias first
    ├── RegistryBusy         somebody else is at work on it; try again
    ├── StorageFull          no room left; nothing half-written is visible
    ├── RegistryUnavailable  a remote registry that does not answer or refuses
    └── Unsupported          what this kind of registry cannot do
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from vqc.errors import InvalidValue, VqcError


class RegistryError(VqcError):
    """What a registry could not do, though it was asked correctly."""


class UnknownVersion(InvalidValue):
    """A reference that names no version; ``valid`` names the nearest aliases first."""

    def __init__(self, ref: str, aliases: Iterable[str], where: str) -> None:
        known = sorted(aliases)
        near = get_close_matches(ref, known, n=3, cutoff=0.4)
        hint = f"did you mean {' or '.join(repr(name) for name in near)}? " if near else ""
        names = ", ".join(known) if known else "none yet"
        super().__init__("version", ref, f"{hint}aliases in {where}: {names}; or name a digest (sha256:…) it has")


class NotACheckpoint(InvalidValue):
    """A directory that cannot become a version; ``valid`` says what is missing."""

    def __init__(self, directory: object, valid: str) -> None:
        super().__init__("checkpoint", str(directory), valid)


class Corrupt(RegistryError):
    """Bytes that are not what their digest says. ``found`` is a digest, or words such as "missing"."""

    def __init__(self, file: str, *, expected: str, found: str) -> None:
        self.file = file
        self.expected = expected
        self.found = found
        super().__init__(f"{file}: expected {expected}, found {found}")


class AliasMoved(RegistryError):
    """The alias is not where the caller thought: somebody moved it first. ``found`` is where it is now."""

    def __init__(self, alias: str, *, expected: str | None, found: str | None) -> None:
        self.alias = alias
        self.expected = expected
        self.found = found
        super().__init__(
            f"alias {alias!r} is at {found or 'nothing'}, not at {expected or 'nothing'}: somebody moved it; look again"
        )


class RegistryBusy(RegistryError):
    """Somebody else holds what this needs alone."""

    def __init__(self, where: str) -> None:
        self.where = where
        super().__init__(f"{where}: a push or pull is under way; run this again when it is done")


class StorageFull(RegistryError):
    """No room left where ``path`` is. What was being written is gone; what was there before is whole."""

    def __init__(self, path: str, needed_bytes: int | None = None) -> None:
        self.path = path
        self.needed_bytes = needed_bytes
        needed = f" for {needed_bytes:,} bytes" if needed_bytes else ""
        super().__init__(f"{path}: no room left{needed}; free some (`vqc-registry gc`) and run this again")


class RegistryUnavailable(RegistryError):
    """A remote registry that cannot be reached, or whose answer is no. ``status`` is its HTTP status, if any."""

    def __init__(self, where: str, reason: str, status: int | None = None) -> None:
        self.where = where
        self.reason = reason
        self.status = status
        super().__init__(f"{where}: {reason}")


class Unsupported(RegistryError):
    """What this kind of registry cannot do."""

    def __init__(self, where: str, what: str) -> None:
        self.where = where
        self.what = what
        super().__init__(f"{where}: {what}")
