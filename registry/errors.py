"""Registry errors; a branch of the tree in ``vqc.errors``.

VqcError
├── InvalidValue
│   ├── UnknownVersion       no version has this alias or digest
│   └── NotACheckpoint       a directory that cannot become a version, or an adapter without its base
└── RegistryError
    ├── Corrupt              bytes that do not match their digest: which file, expected and actual digest
    ├── AliasMoved           compare-and-swap failed: another process moved the alias first
    ├── RegistryBusy         another process holds the lock; try again
    ├── StorageFull          no space left; nothing incomplete is visible
    ├── RegistryUnavailable  a remote registry does not answer or rejects the request
    │   └── UnsafeAnswer     it answers what must not be read or followed: without end, or to an internal address
    └── Unsupported          an operation that this kind of registry does not have
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from vqc.errors import InvalidValue, VqcError


class RegistryError(VqcError):
    """A valid request that the registry could not carry out."""


class UnknownVersion(InvalidValue):
    """A reference that matches no version; ``valid`` lists the nearest aliases first."""

    def __init__(self, ref: str, aliases: Iterable[str], where: str) -> None:
        known = sorted(aliases)
        near = get_close_matches(ref, known, n=3, cutoff=0.4)
        hint = f"did you mean {' or '.join(repr(name) for name in near)}? " if near else ""
        names = ", ".join(known) if known else "none yet"
        super().__init__("version", ref, f"{hint}aliases in {where}: {names}; or use one of its digests (sha256:…)")


class NotACheckpoint(InvalidValue):
    """A directory that cannot become a version; ``valid`` says what is missing."""

    def __init__(self, directory: object, valid: str) -> None:
        super().__init__("checkpoint", str(directory), valid)


class Corrupt(RegistryError):
    """Bytes that do not match their digest. ``found`` is a digest, or a word such as "missing"."""

    def __init__(self, file: str, *, expected: str, found: str) -> None:
        self.file = file
        self.expected = expected
        self.found = found
        super().__init__(f"{file}: expected {expected}, found {found}")


class AliasMoved(RegistryError):
    """The alias does not point where the caller expected, because it was moved meanwhile. ``found`` is where it points now."""

    def __init__(self, alias: str, *, expected: str | None, found: str | None) -> None:
        self.alias = alias
        self.expected = expected
        self.found = found
        super().__init__(
            f"alias {alias!r} points to {found or 'nothing'}, not {expected or 'nothing'}: it was moved meanwhile; retry"
        )


class RegistryBusy(RegistryError):
    """Another process holds the lock that this operation needs exclusively."""

    def __init__(self, where: str) -> None:
        self.where = where
        super().__init__(f"{where}: a push or pull is running; try again when it has finished")


class StorageFull(RegistryError):
    """No space left at ``path``. The partial file was removed; existing files are intact."""

    def __init__(self, path: str, needed_bytes: int | None = None) -> None:
        self.path = path
        self.needed_bytes = needed_bytes
        needed = f" for {needed_bytes:,} bytes" if needed_bytes else ""
        super().__init__(f"{path}: no space left{needed}; free some (`vqc-registry gc`) and try again")


class RegistryUnavailable(RegistryError):
    """A remote registry that cannot be reached or rejects a request. ``status`` is its HTTP status, if any."""

    def __init__(self, where: str, reason: str, status: int | None = None) -> None:
        self.where = where
        self.reason = reason
        self.status = status
        super().__init__(f"{where}: {reason}")


class UnsafeAnswer(RegistryUnavailable):
    """An answer that must not be read or followed. Asking again does not help."""


class Unsupported(RegistryError):
    """An operation that this kind of registry does not have."""

    def __init__(self, where: str, what: str) -> None:
        self.where = where
        self.what = what
        super().__init__(f"{where}: {what}")
