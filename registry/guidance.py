"""Guidance of Stage-B missions as artifacts: versions, aliases and reports by the same means as models.

The one blob of such a version is a guidance record, the JSON object that the service keeps as ``guidance.json``. It is
checked by the digest that it carries; what its rules may say is the service's.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from registry.core import Registry
from registry.errors import Corrupt
from registry.names import GUIDANCE_ALIAS
from registry.oci import EMPTY, EMPTY_TYPE, GUIDANCE_TYPE, MANIFEST_TYPE, TITLE, Manifest, canonical, described
from registry.version import parsed
from vqc.contract import contract_digests, digest
from vqc.errors import InvalidValue

FILE = "guidance.json"
CONTRACT = ("prompts", "lines")
"""The parts of the contract that guidance is written for: it is read inside a prompt and judged by the verdict lines."""

_MISSION = "vqc.mission"
_STEP = "vqc.step"
_RECORD = "vqc.guidance"
_CONTRACT = "vqc.contract."


@dataclass(frozen=True, slots=True, kw_only=True)
class GuidanceVersion:
    """An immutable version. ``digest`` is ``sha256:…`` of its manifest, ``guidance`` the record's own (SHA-256, hex)."""

    digest: str
    mission: str
    step: int
    guidance: str
    contract: dict[str, str]
    record: bytes


def guidance_alias(mission: str) -> str:
    """The alias under which a mission's guidance is in force. Tags are ASCII, missions are not: a digest stands for it.

    >>> guidance_alias("挡风板安装检查")
    'guidance-b5a5493b1fdd'
    """
    return GUIDANCE_ALIAS + sha256(mission.encode()).hexdigest()[:12]


def push_guidance(registry: Registry, content: bytes) -> GuidanceVersion:
    """The version of a guidance record; the same again if it was there.

    Raises:
        InvalidValue: no guidance record, or one that was edited: its ``version`` is not the digest of the rest.
    """
    record = _checked(content)
    body = canonical(record)
    notes = {_MISSION: record["mission"], _STEP: str(record["step"]), _RECORD: record["version"]}
    notes |= {_CONTRACT + part: value for part, value in contract_digests().items() if part in CONTRACT}
    store = registry.store
    with store.adding():
        layer = store.add_bytes(body, "application/json").model_copy(update={"annotations": {TITLE: FILE}})
        config = store.add_bytes(EMPTY, EMPTY_TYPE)
        manifest = Manifest(artifact_type=GUIDANCE_TYPE, config=config, layers=(layer,), annotations=notes).to_bytes()
        blob = described(manifest, MANIFEST_TYPE, artifactType=GUIDANCE_TYPE)
        if store.manifest(blob.digest) is None:
            store.add_manifest(manifest, blob)
    return guidance_version(registry, blob.digest)


def guidance_version(registry: Registry, ref: str) -> GuidanceVersion:
    """The version behind an alias or digest, every byte checked.

    Raises:
        UnknownVersion: no such version.
        InvalidValue: it is no guidance.
        Corrupt: its bytes are not what they were.
    """
    found = registry.resolve(ref)
    manifest = _manifest(registry, found)
    if manifest.kind != GUIDANCE_TYPE:
        raise InvalidValue("version", ref, f"must be guidance, it is {manifest.kind}")
    notes = manifest.annotations or {}
    content = registry.store.read(manifest.layers[0])
    try:
        record = _checked(content)
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
    """Every version (of ``mission``), by mission and step."""
    found = [guidance_version(registry, found) for found in registry.store.versions() if is_guidance(registry, found)]
    kept = [version for version in found if mission in (None, version.mission)]
    return sorted(kept, key=lambda version: (version.mission, version.step, version.digest))


def is_guidance(registry: Registry, found: str) -> bool:
    """Whether the artifact of this digest is guidance."""
    return _manifest(registry, found).kind == GUIDANCE_TYPE


def _manifest(registry: Registry, found: str) -> Manifest:
    content = registry.store.manifest(found)
    if content is None:
        raise Corrupt(found, expected="a manifest", found="missing")
    return parsed(found, content)


def _checked(content: bytes) -> dict[str, Any]:
    """The record in these bytes. Raises ``InvalidValue``."""
    try:
        record = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InvalidValue("guidance", f"{len(content):,} bytes", f"must be JSON, as guidance.json: {error}") from error
    if not isinstance(record, dict) or not {"mission", "rules", "step", "version"} <= record.keys():
        raise InvalidValue(
            "guidance", f"{len(content):,} bytes", "must be a guidance record, as the service's guidance.json"
        )
    rest = {key: value for key, value in record.items() if key != "version"}
    if record["version"] != digest(rest):
        raise InvalidValue(
            "guidance.version", record["version"], f"must be the digest of the other fields, {digest(rest)}"
        )
    if not isinstance(record["mission"], str) or not isinstance(record["step"], int):
        raise InvalidValue("guidance", record["mission"], "must name its mission and the number of its step")
    return record
