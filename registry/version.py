"""A version: a ModelPack manifest, and how it is made from a checkpoint.

A manifest contains neither time nor author: identical files and facts give the same digest. ModelPack's config has a
closed set of fields; everything else is in the manifest's ``vqc.…`` annotations.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import ValidationError

from registry.checkpoint import Checkpoint
from registry.errors import Corrupt
from registry.names import folders_of, is_digest, is_inside
from registry.oci import (
    DOC_TYPE,
    FILEPATH,
    MODEL_CONFIG_TYPE,
    MODEL_TYPE,
    TITLE,
    WEIGHT_CONFIG_TYPE,
    WEIGHT_TYPE,
    Descriptor,
    Manifest,
    canonical,
)
from registry.values import VersionFacts, parse_json
from vqc.errors import short_repr

_KIND = "vqc.kind"
_BASE = "vqc.base"
_INSPECTIONS = "vqc.inspections"
_CONTRACT = "vqc.contract."
_EVALUATION = "vqc.evaluation"
_FACTS = {
    "base_model": "vqc.base-model",
    "adapter": "vqc.adapter",
    "dataset": "vqc.dataset",
    "run": "vqc.run",
    "git_revision": "org.opencontainers.image.revision",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """An immutable model or adapter. ``digest`` is ``sha256:…`` of its manifest."""

    digest: str
    manifest: Manifest

    @classmethod
    def parse(cls, digest: str, content: bytes) -> Version:
        """The version in a manifest's bytes, whose digest has been verified.

        Raises:
            Corrupt: not a model's manifest, or it names a file outside the model's directory.
        """
        manifest = parse_manifest(digest, content)
        if not manifest.is_model:
            raise Corrupt(digest, expected=f"a model ({MODEL_TYPE})", found=manifest.kind)
        names = Counter(layer.title for layer in manifest.layers)
        outside = [name for name in names if not is_inside(name)]
        folders = set() if outside else {folder for name in names for folder in folders_of(name)}
        for layer in manifest.layers:
            if outside or names[layer.title] > 1 or layer.title in folders:
                found = short_repr(outside[0] if outside else layer.title)
                raise Corrupt(digest, expected="one path inside the directory for each file", found=found)
            if ".tar" in layer.media_type or layer.media_type.endswith(("+gzip", "+zstd")):
                raise Corrupt(digest, expected="one raw blob for each file", found=f"{layer.title}: {layer.media_type}")
        version = cls(digest=digest, manifest=manifest)
        if version.base is not None and not is_digest(version.base):
            raise Corrupt(digest, expected="the digest of its base version", found=short_repr(version.base))
        for named in version.inspections:
            if not is_digest(named):
                raise Corrupt(digest, expected="the digests of its inspections", found=short_repr(named))
        return version

    @property
    def files(self) -> tuple[Descriptor, ...]:
        """Its files; ``title`` is the path in the directory."""
        return self.manifest.layers

    @property
    def size_bytes(self) -> int:
        """The total size of its files."""
        return sum(layer.size for layer in self.files)

    @property
    def kind(self) -> Literal["model", "adapter"]:
        """An ``adapter`` can only be served with its ``base``."""
        return "adapter" if self._annotations.get(_KIND) == "adapter" else "model"

    @property
    def base(self) -> str | None:
        """The digest of the version it builds on; always set for an adapter."""
        return self._annotations.get(_BASE)

    @property
    def inspections(self) -> tuple[str, ...]:
        """The digests of the inspections that it is served with; empty if it brings none."""
        return tuple(self._annotations.get(_INSPECTIONS, "").split())

    @property
    def contract(self) -> dict[str, str]:
        """The digests of ``vqc.contract`` it was trained under; empty if it declares none."""
        return {
            key.removeprefix(_CONTRACT): value for key, value in self._annotations.items() if key.startswith(_CONTRACT)
        }

    @property
    def facts(self) -> VersionFacts:
        """Where it comes from. Raises ``Corrupt``."""
        notes = self._annotations
        return VersionFacts(
            **{field: notes.get(key) for field, key in _FACTS.items()},  # type: ignore[arg-type]
            contract=self.contract,
            evaluation=self._evaluation(notes.get(_EVALUATION)),
        )

    def _evaluation(self, note: str | None) -> dict[str, object] | None:
        if not note:
            return None
        try:
            found = parse_json(note)
        except ValueError as error:
            raise Corrupt(f"{self.digest} {_EVALUATION}", expected="JSON", found=str(error)) from error
        if not isinstance(found, dict):
            raise Corrupt(f"{self.digest} {_EVALUATION}", expected="a JSON object", found=type(found).__name__)
        return found

    @property
    def _annotations(self) -> dict[str, str]:
        return self.manifest.annotations or {}


def parse_manifest(digest: str, content: bytes) -> Manifest:
    """The manifest in these bytes, of any artifact type. Raises ``Corrupt``."""
    try:
        return Manifest.model_validate_json(content)
    except ValidationError as error:
        raise Corrupt(digest, expected="an OCI manifest", found=str(error.errors()[0]["msg"])) from error


def layer(name: str, blob: Descriptor) -> Descriptor:
    """A file's descriptor, annotated with its name."""
    return blob.model_copy(update={"annotations": {TITLE: name, FILEPATH: name}})


def media_type(name: str) -> str:
    """ModelPack's media type for a checkpoint file.

    >>> media_type("model-00001-of-00002.safetensors")
    'application/vnd.cncf.model.weight.v1.raw'
    """
    if name.endswith(".safetensors"):
        return WEIGHT_TYPE
    if name.endswith(".md") or "." not in name:
        return DOC_TYPE
    return WEIGHT_CONFIG_TYPE


def model_config(checkpoint: Checkpoint, layers: list[Descriptor], facts: VersionFacts) -> bytes:
    """The ModelPack config: architecture, precision, capabilities, and its layers' digests."""
    config = {
        "architecture": checkpoint.architecture,
        "format": "safetensors",
        "precision": checkpoint.precision,
        "capabilities": {"inputTypes": ["text", "image"], "outputTypes": ["text"]} if checkpoint.has_vision else None,
    }
    descriptor = {"family": checkpoint.model_type, "revision": facts.git_revision}
    return canonical(
        {
            "descriptor": {key: value for key, value in descriptor.items() if value},
            "config": {key: value for key, value in config.items() if value},
            "modelfs": {"type": "layers", "diffIds": [layer.digest for layer in layers]},
        }
    )


def manifest(
    checkpoint: Checkpoint,
    config: Descriptor,
    layers: list[Descriptor],
    facts: VersionFacts,
    base: str | None,
    inspections: Sequence[str] = (),
) -> Manifest:
    """The version's manifest."""
    notes: dict[str, str | None] = {_KIND: checkpoint.kind, _BASE: base, _INSPECTIONS: " ".join(inspections)}
    notes |= {key: getattr(facts, field) for field, key in _FACTS.items()}
    notes |= {_CONTRACT + part: value for part, value in facts.contract.items()}
    notes[_EVALUATION] = canonical(facts.evaluation).decode() if facts.evaluation else None
    return Manifest(
        artifact_type=MODEL_TYPE,
        config=config.model_copy(update={"media_type": MODEL_CONFIG_TYPE}),
        layers=tuple(layers),
        annotations={key: value for key, value in notes.items() if value},
    )
