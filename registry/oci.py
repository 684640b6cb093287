"""The documents of the OCI image specification (1.1), and the media types of ModelPack.

Unknown fields are preserved: other tools may write to the same index.
"""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
EMPTY_TYPE = "application/vnd.oci.empty.v1+json"
MODEL_TYPE = "application/vnd.cncf.model.manifest.v1+json"
GUIDANCE_TYPE = "application/vnd.vqc.guidance.v1+json"
"""One version of a Stage-B mission's guidance: ``registry.guidance``."""
INSPECTION_TYPE = "application/vnd.vqc.inspection.v1+yaml"
"""One version of an inspection: ``registry.inspections``."""
MODEL_CONFIG_TYPE = "application/vnd.cncf.model.config.v1+json"
VERSION_TYPES = (MODEL_TYPE, GUIDANCE_TYPE, INSPECTION_TYPE)
"""The artifact types that are versions: listed, and moved to by aliases."""
WEIGHT_TYPE = "application/vnd.cncf.model.weight.v1.raw"
WEIGHT_CONFIG_TYPE = "application/vnd.cncf.model.weight.config.v1.raw"
DOC_TYPE = "application/vnd.cncf.model.doc.v1.raw"

TITLE = "org.opencontainers.image.title"
FILEPATH = "org.cncf.model.filepath"
CREATED = "org.opencontainers.image.created"
REF_NAME = "org.opencontainers.image.ref.name"

EMPTY = b"{}"

MAX_DOCUMENT = 8 * 2**20
"""The most bytes of a manifest, an index of a registry or a list of tags; larger ones are not read."""
MAX_MANIFEST = 4 * 2**20
"""The most bytes of a manifest that is pushed: what every registry must accept."""
MAX_ATTACHMENT = 64 * 2**20
"""The most bytes of a blob that is read into memory: a report, a signature, guidance."""

Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]


class _Document(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="allow", frozen=True)

    def as_dict(self) -> dict[str, object]:
        """The document as JSON values, without unset fields."""
        return self.model_dump(by_alias=True, exclude_none=True)

    def to_bytes(self) -> bytes:
        """Canonical JSON (sorted keys, no spaces, UTF-8), so that equal documents have equal digests."""
        return canonical(self.as_dict())


class Descriptor(_Document):
    """Identifies a blob: its media type, digest (``sha256:…``) and size in bytes."""

    media_type: str
    digest: Digest
    size: Annotated[int, Field(ge=0)]
    annotations: dict[str, str] | None = None
    artifact_type: str | None = None

    @property
    def title(self) -> str:
        """The file's path in its directory, or the digest if it has no path."""
        names = self.annotations or {}
        return names.get(FILEPATH) or names.get(TITLE) or self.digest


class Manifest(_Document):
    """An artifact: a config, its layers, and the artifact that it is attached to, if any."""

    schema_version: int = 2
    media_type: str = MANIFEST_TYPE
    artifact_type: str | None = None
    config: Descriptor
    layers: tuple[Descriptor, ...] = ()
    subject: Descriptor | None = None
    annotations: dict[str, str] | None = None

    @property
    def kind(self) -> str:
        """The artifact type; OCI 1.0 stored it as the config's media type."""
        return self.artifact_type or self.config.media_type

    @property
    def is_model(self) -> bool:
        """Whether this is a ModelPack model."""
        return MODEL_TYPE in (self.artifact_type, self.config.media_type) or self.config.media_type == MODEL_CONFIG_TYPE


class Index(_Document):
    """A list of manifests: a layout's ``index.json``, or an artifact's referrers."""

    schema_version: int = 2
    media_type: str = INDEX_TYPE
    manifests: tuple[Descriptor, ...] = ()
    annotations: dict[str, str] | None = None


def canonical(value: object) -> bytes:
    """The canonical JSON of a value.

    >>> canonical({"b": 1, "a": "锚"}).decode()
    '{"a":"锚","b":1}'
    """
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return text.encode("utf-8", "replace")  # a path that is not UTF-8 holds surrogates, which JSON cannot


def digest_of(content: bytes) -> str:
    """The digest that identifies a blob.

    >>> digest_of(b"{}")[:15]
    'sha256:44136fa3'
    """
    return "sha256:" + sha256(content).hexdigest()


def descriptor_of(content: bytes, media_type: str, **more: object) -> Descriptor:
    """The descriptor of ``content``."""
    return Descriptor.model_validate(
        {"mediaType": media_type, "digest": digest_of(content), "size": len(content), **more}
    )
