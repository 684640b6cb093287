"""Which model is in force: versions as OCI artifacts, aliases, and what is attached to a version.

A version is an immutable ModelPack artifact named by its manifest digest. ``open_registry`` gives one door to two
stores: an OCI image layout in a directory, or any OCI registry. What a version must prove before it may serve is
decided in ``registry.gates``.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from registry.errors import AliasMoved, Corrupt, NotACheckpoint, RegistryError, UnknownVersion
from registry.values import ANY, AuditEntry, Collected, Expected, Lease, Progress, Referrer, VersionFacts

if TYPE_CHECKING:
    from registry.core import Registry
    from registry.version import Version

__all__ = [
    "ANY",
    "AliasMoved",
    "AuditEntry",
    "Collected",
    "Corrupt",
    "Expected",
    "Lease",
    "NotACheckpoint",
    "Progress",
    "Referrer",
    "Registry",
    "RegistryError",
    "UnknownVersion",
    "Version",
    "VersionFacts",
    "open_registry",
]


def open_registry(where: str | Path) -> Registry:
    """The registry in a directory (OCI image layout) or at ``oci://host[:port]/repository`` (plain HTTP on loopback).

    A directory that does not exist yet is an empty registry; the first push makes it.

    Raises:
        InvalidValue: a directory that holds something else, or an address without host and repository.
    """
    from registry.core import Registry

    if str(where).startswith("oci://"):
        from registry.remote import RemoteStore

        return Registry(RemoteStore.at(str(where)))
    from registry.layout import LayoutStore

    return Registry(LayoutStore(Path(where)))


def __getattr__(name: str) -> object:
    """``Registry`` and ``Version``, imported when they are asked for: they bring pydantic along."""
    if name == "Registry":
        from registry.core import Registry

        return Registry
    if name == "Version":
        from registry.version import Version

        return Version
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
