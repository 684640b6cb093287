"""Model registry: versions as OCI artifacts, aliases, and attachments.

A version is an immutable ModelPack artifact, identified by its manifest digest. ``open_registry`` opens either of two
stores: an OCI image layout in a directory, or a repository of an OCI registry. ``registry.gates`` decides what a version
must prove before an alias may point to it.
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
    """Opens the registry in a directory (OCI image layout) or at ``oci://host[:port]/repository`` (plain HTTP on loopback).

    A directory that does not exist yet is an empty registry; the first push creates it.

    Raises:
        InvalidValue: the directory holds something else, the address lacks a host or a repository, or it is neither.
    """
    from registry.core import Registry
    from registry.location import parse_location

    location = parse_location(where)
    if isinstance(location, str):
        from registry.remote import RemoteStore

        return Registry(RemoteStore.at(location))
    from registry.layout import LayoutStore

    return Registry(LayoutStore(location))


def __getattr__(name: str) -> object:
    """Imports ``Registry`` and ``Version`` on first use, because they import pydantic."""
    if name == "Registry":
        from registry.core import Registry

        return Registry
    if name == "Version":
        from registry.version import Version

        return Version
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
