"""Inspections as artifacts, with the same versions, aliases and log as models.

The layers of a version are the files of its directory. A model's manifest names the inspections that it is served with
(``Version.inspections``), so that whatever moves a model's alias moves both. ``vqc.inspection`` owns the files' format.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from registry.artifacts import push_files, stored_manifest
from registry.core import Registry
from registry.errors import Corrupt, UnknownVersion
from registry.files import file_lock
from registry.names import INSPECTION_ALIAS
from registry.oci import INSPECTION_TYPE, Manifest
from registry.version import parse_manifest
from vqc.contract import contract_digests, current_form, prompts_part
from vqc.errors import InvalidValue
from vqc.inspection import FILES, MAX_FILE_BYTES, Inspection, load_inspection
from vqc.missions import MATERIALISED, REFERENCE, ActiveInspections, active, inspection_directory

_NAME = "vqc.inspection"
_VERSION = "vqc.inspection-version"
_RECORD = "vqc.inspection-digest"
_FILE_TYPE = "application/yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectionVersion:
    """An immutable version. ``digest`` is ``sha256:…`` of its manifest; ``record`` is the inspection's own SHA-256 (hex)."""

    digest: str
    name: str
    version: int
    record: str


def inspection_alias(name: str) -> str:
    """The alias that points to an inspection's active version.

    >>> inspection_alias("telecom")
    'inspection-telecom'
    """
    return INSPECTION_ALIAS + name


def push_inspection(
    registry: Registry, directory: Path, *, actor: str | None = None, reason: str = ""
) -> InspectionVersion:
    """Stores the inspection in ``directory`` as a version; identical files give the same version.

    Raises:
        InvalidValue: the inspection is not valid.
    """
    with TemporaryDirectory() as folder:
        # Read once: what was checked is what is stored, even if an editor writes the files meanwhile.
        copy = Path(folder)
        for name in FILES:
            source = directory / name
            if source.exists() and source.stat().st_size <= MAX_FILE_BYTES:
                (copy / name).write_bytes(source.read_bytes())
        load_inspection(directory)  # names the files where they are, and refuses links that leave the directory
        inspection = load_inspection(copy)
        contents = {name: (copy / name).read_bytes() for name in FILES if (copy / name).exists()}
    header = inspection.header
    notes = {_NAME: header.name, _VERSION: str(header.version), _RECORD: inspection.digest}
    why = reason or f"inspection {header.name} {header.version}"
    stored = push_files(registry.store, INSPECTION_TYPE, contents, _FILE_TYPE, notes, actor=actor, reason=why)
    return InspectionVersion(digest=stored, name=header.name, version=header.version, record=inspection.digest)


def resolve_inspection(registry: Registry, ref: str) -> str:
    """The digest of a digest, a unique prefix of one, ``inspection/NAME`` (the active version) or ``inspection/NAME@VERSION``.

    Raises:
        UnknownVersion: no such version.
        InvalidValue: several versions of the inspection have this number.
    """
    if not ref.startswith(REFERENCE):
        return registry.resolve(ref)
    name, _, number = ref.removeprefix(REFERENCE).partition("@")
    if not number:
        return registry.resolve(inspection_alias(name))
    found = [one.digest for one in inspection_versions(registry, name) if str(one.version) == number]
    if len(found) > 1:
        raise InvalidValue("inspection", ref, f"must be one version; name a digest: {', '.join(sorted(found))}")
    if not found:
        raise UnknownVersion(ref, registry.store.aliases(), registry.where)
    return found[0]


def inspection_version(registry: Registry, ref: str) -> InspectionVersion:
    """The version that a reference names. Raises ``UnknownVersion``, ``Corrupt``; ``InvalidValue`` if it is no inspection."""
    digest = resolve_inspection(registry, ref)
    notes = _manifest(registry, digest).annotations or {}
    try:
        number = int(notes[_VERSION])
        return InspectionVersion(digest=digest, name=notes[_NAME], version=number, record=notes[_RECORD])
    except (KeyError, ValueError) as error:
        raise Corrupt(digest, expected="the name and version of an inspection", found=str(error)) from error


def inspection_versions(registry: Registry, name: str | None = None) -> list[InspectionVersion]:
    """All versions (of the inspection ``name``, if given), sorted by name and version."""
    stored = [digest for digest in registry.store.versions() if is_inspection(registry, digest)]
    found = [inspection_version(registry, digest) for digest in stored]
    selected = [one for one in found if name in (None, one.name)]
    return sorted(selected, key=lambda one: (one.name, one.version, one.digest))


def is_inspection(registry: Registry, digest: str) -> bool:
    """Whether the artifact with this digest is an inspection."""
    content = registry.store.manifest(digest)
    return content is not None and parse_manifest(digest, content).kind == INSPECTION_TYPE


def pull_inspection(registry: Registry, ref: str, out: Path) -> Inspection:
    """Writes a version's files, verified, to ``out``.

    Raises:
        InvalidValue: ``out`` is not empty, or the version is no inspection or not valid here.
        UnknownVersion, Corrupt.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InvalidValue("out", str(out), "name a directory that does not exist, or is empty")
    contents = _contents(registry, resolve_inspection(registry, ref))
    out.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (out / name).write_bytes(content)
    return load_inspection(out)


def read_inspection(registry: Registry, ref: str) -> Inspection:
    """The inspection of a version. Raises as ``pull_inspection`` does."""
    with TemporaryDirectory() as folder:
        return replace(pull_inspection(registry, ref, Path(folder)), directory=None)


def inspections_for_push(
    registry: Registry, contract: Mapping[str, str], names: Sequence[str], actor: str | None = None
) -> list[str]:
    """The digests of the inspections that a checkpoint brings, stored by this call.

    ``names`` are directories, shipped names or versions of the registry. Without any: the active inspections whose prompts the
    checkpoint's ``contract`` names, as they are. Raises ``InvalidValue``, ``UnknownVersion``.
    """
    if names:
        return [
            resolve_inspection(registry, name)
            if name.startswith((REFERENCE, "sha256:"))
            else push_inspection(registry, inspection_directory(name), actor=actor).digest
            for name in names
        ]
    trained, running = current_form(contract), contract_digests()
    return [
        push_inspection(registry, one.directory, actor=actor).digest
        for one in active().inspections
        if trained.get(prompts_part(one.name)) == running[prompts_part(one.name)] and one.directory is not None
    ]


def inspections_with(registry: Registry, model: str, chosen: ActiveInspections) -> ActiveInspections:
    """The inspections with which the model version ``model`` (a digest) is served, where the operator chose ``chosen``.

    Those that the version brings, where the operator named none. Else an inspection that the operator
    took from a registry gives way to the one of its name that the version brings; a directory stays.

    Raises:
        Corrupt, UnknownVersion, InvalidValue: an inspection that cannot be read, or missions of two with one name.
    """
    brought = [read_inspection(registry, digest) for digest in registry.version(model).inspections]
    if not brought:
        return chosen
    if chosen.by_default:
        return ActiveInspections(inspections=tuple(brought), by_default=True)
    by_name = {one.name: one for one in brought}
    kept = tuple(by_name.get(one.name, one) if one.name in chosen.from_registry else one for one in chosen.inspections)
    return ActiveInspections(inspections=kept, from_registry=chosen.from_registry)


def _contents(registry: Registry, digest: str) -> dict[str, bytes]:
    """The files of a version by name. Raises ``Corrupt`` for any that an inspection does not have."""
    contents = {}
    for layer in _manifest(registry, digest).layers:
        if layer.title not in FILES or layer.title in contents:
            raise Corrupt(digest, expected=f"files of an inspection: {', '.join(FILES)}", found=layer.title)
        if layer.size > MAX_FILE_BYTES:
            raise Corrupt(digest, expected=f"at most {MAX_FILE_BYTES:,} bytes", found=f"{layer.size:,} bytes")
        contents[layer.title] = registry.store.read(layer)
    return contents


def _manifest(registry: Registry, digest: str) -> Manifest:
    manifest = stored_manifest(registry.store, digest)
    if manifest.kind != INSPECTION_TYPE:
        raise InvalidValue("inspection", digest, f"must be an inspection, but its type is {manifest.kind}")
    return manifest


def materialise_references(names: str, registry: Registry, cache: Path) -> str:
    """The value of ``VQC_INSPECTIONS`` with each reference replaced by a directory below ``cache`` that holds the version.

    Raises as ``pull_inspection`` does.
    """
    return os.pathsep.join(
        str(_directory(registry, name, cache)) if name.startswith(REFERENCE) else name
        for name in names.split(os.pathsep)
    )


def _directory(registry: Registry, ref: str, cache: Path) -> Path:
    digest = resolve_inspection(registry, ref)
    target = cache.absolute() / "inspections" / f"{MATERIALISED}{digest.removeprefix('sha256:')}"
    with file_lock(target.with_name(f".{target.name}.lock")):
        shutil.rmtree(target, ignore_errors=True)  # written anew: an edit of it must not pass for the version
        pull_inspection(registry, digest, target)
    return target
