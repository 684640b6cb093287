"""Guidance of Stage-B missions as artifacts, with the same versions, aliases and reports as models.

The single blob of a guidance version is a guidance record, the JSON object that the service stores as
``guidance.json``. This module verifies its digest; the service validates its rules.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from registry.artifacts import push_files, stored_manifest
from registry.core import Registry
from registry.errors import Corrupt
from registry.names import GUIDANCE_ALIAS
from registry.oci import GUIDANCE_TYPE, canonical
from registry.values import parse_json
from vqc.contract import digest, mission_digests
from vqc.errors import InvalidValue

FILE = "guidance.json"
_MISSION = "vqc.mission"
_STEP = "vqc.step"
_RECORD = "vqc.guidance"
_CONTRACT = "vqc.contract."


@dataclass(frozen=True, slots=True, kw_only=True)
class GuidanceVersion:
    """An immutable version. ``digest`` is ``sha256:…`` of its manifest; ``guidance`` is the record's own SHA-256 (hex)."""

    digest: str
    mission: str
    step: int
    guidance: str
    contract: dict[str, str]
    record: bytes


def guidance_alias(mission: str) -> str:
    """The alias that points to a mission's active guidance. OCI tags are ASCII, so it contains a digest of the mission's name.

    >>> guidance_alias("挡风板安装检查")
    'guidance-b5a5493b1fdd'
    """
    return GUIDANCE_ALIAS + sha256(mission.encode()).hexdigest()[:12]


def push_guidance(registry: Registry, content: bytes) -> GuidanceVersion:
    """Stores a guidance record as a version; identical content gives the same version.

    Raises:
        InvalidValue: not a guidance record, or one edited by hand: its ``version`` is not the digest of its other fields.
    """
    record = _parse_record(content)
    body = canonical(record)
    notes = {_MISSION: record["mission"], _STEP: str(record["step"]), _RECORD: record["version"]}
    notes |= {_CONTRACT + part: value for part, value in mission_digests(record["mission"]).items()}
    why = f"guidance of {record['mission']}"
    stored = push_files(registry.store, GUIDANCE_TYPE, {FILE: body}, "application/json", notes, actor=None, reason=why)
    return guidance_version(registry, stored)


def guidance_version(registry: Registry, ref: str) -> GuidanceVersion:
    """The guidance version that an alias or digest names, verified.

    Raises:
        UnknownVersion: no such version.
        InvalidValue: the version is not guidance.
        Corrupt: its bytes do not match their digest.
    """
    found = registry.resolve(ref)
    manifest = stored_manifest(registry.store, found)
    if manifest.kind != GUIDANCE_TYPE:
        raise InvalidValue("version", ref, f"must be guidance, but its type is {manifest.kind}")
    notes = manifest.annotations or {}
    content = registry.store.read(manifest.layers[0]) if manifest.layers else b""
    try:
        record = _parse_record(content)
    except InvalidValue as error:
        raise Corrupt(found, expected="a guidance record", found=error.valid) from error
    return GuidanceVersion(
        digest=found,
        mission=record["mission"],
        step=record["step"],
        guidance=record["version"],
        contract={key.removeprefix(_CONTRACT): value for key, value in notes.items() if key.startswith(_CONTRACT)},
        record=content,
    )


def guidance_versions(registry: Registry, mission: str | None = None) -> list[GuidanceVersion]:
    """All guidance versions (of ``mission``, if given), sorted by mission and step."""
    digests = [digest for digest in registry.store.versions() if is_guidance(registry, digest)]
    versions = [guidance_version(registry, digest) for digest in digests]
    selected = [version for version in versions if mission in (None, version.mission)]
    return sorted(selected, key=lambda version: (version.mission, version.step, version.digest))


def is_guidance(registry: Registry, found: str) -> bool:
    """Whether the artifact with this digest is guidance."""
    return stored_manifest(registry.store, found).kind == GUIDANCE_TYPE


def _parse_record(content: bytes) -> dict[str, Any]:
    """The record in these bytes. Raises ``InvalidValue``."""
    try:
        record = parse_json(content)
    except ValueError as error:
        raise InvalidValue(
            "guidance", f"{len(content):,} bytes", f"must be JSON, like guidance.json: {error}"
        ) from error
    if not isinstance(record, dict) or not {"mission", "rules", "step", "version"} <= record.keys():
        raise InvalidValue(
            "guidance", f"{len(content):,} bytes", "must be a guidance record, like the service's guidance.json"
        )
    rest = {key: value for key, value in record.items() if key != "version"}
    if record["version"] != digest(rest):
        raise InvalidValue(
            "guidance.version", record["version"], f"must be the digest of the other fields, {digest(rest)}"
        )
    if not isinstance(record["mission"], str) or not isinstance(record["step"], int):
        raise InvalidValue("guidance", record["mission"], "must contain its mission and an integer step")
    return record
