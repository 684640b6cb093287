from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import validate

from registry.core import Registry
from registry.errors import Corrupt
from registry.layout import LayoutStore
from registry.oci import canonical
from registry.version import Version
from tests.support.registry_models import write_model

# The parts of github.com/modelpack/model-spec's config schema that we use; its objects are closed.
MODEL_PACK_CONFIG = {
    "type": "object",
    "additionalProperties": False,
    "required": ["descriptor", "config", "modelfs"],
    "properties": {
        "descriptor": {
            "type": "object",
            "additionalProperties": False,
            "properties": {key: {"type": "string"} for key in ("family", "name", "revision", "version", "title")},
        },
        "config": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "architecture": {"type": "string"},
                "format": {"type": "string"},
                "precision": {"type": "string"},
                "capabilities": {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {
                        key: {"type": "array", "items": {"enum": ["text", "image", "video"]}}
                        for key in ("inputTypes", "outputTypes")
                    },
                },
            },
        },
        "modelfs": {
            "type": "object",
            "additionalProperties": False,
            "required": ["type", "diffIds"],
            "properties": {
                "type": {"enum": ["layers"]},
                "diffIds": {"type": "array", "minItems": 1, "items": {"type": "string"}},
            },
        },
    },
}


def test_a_version_is_a_model_pack_artifact(tmp_path: Path) -> None:
    store = LayoutStore(tmp_path / "registry")
    version = Registry(store).push(write_model(tmp_path / "model"))
    manifest = json.loads(version.manifest.to_bytes())
    assert manifest["artifactType"] == "application/vnd.cncf.model.manifest.v1+json"
    assert manifest["config"]["mediaType"] == "application/vnd.cncf.model.config.v1+json"
    types = {layer["annotations"]["org.cncf.model.filepath"]: layer["mediaType"] for layer in manifest["layers"]}
    assert types["config.json"] == "application/vnd.cncf.model.weight.config.v1.raw"
    assert types["README.md"] == "application/vnd.cncf.model.doc.v1.raw"
    assert types["model-00001-of-00002.safetensors"] == "application/vnd.cncf.model.weight.v1.raw"
    config = json.loads(store.read(version.manifest.config))
    validate(config, MODEL_PACK_CONFIG)
    assert config["modelfs"]["diffIds"] == [layer["digest"] for layer in manifest["layers"]]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{", "Invalid JSON"),
        (b"{}", "Field required"),
        (
            canonical(
                {
                    "schemaVersion": 2,
                    "config": {"mediaType": "a/b", "digest": "sha256:" + "0" * 64, "size": 1},
                    "layers": [],
                }
            ),
            "found a/b",
        ),
        (canonical({"config": {"mediaType": "a/b", "digest": "sha256:12", "size": 1}}), "match pattern"),
    ],
)
def test_what_is_no_models_manifest_is_corrupt(content: bytes, said: str) -> None:
    with pytest.raises(Corrupt, match=said):
        Version.parse("sha256:" + "1" * 64, content)


def test_an_archive_is_not_unpacked(tmp_path: Path) -> None:
    version = Registry(LayoutStore(tmp_path / "registry")).push(write_model(tmp_path / "model"))
    content = version.manifest.to_bytes().replace(b"model.weight.v1.raw", b"model.weight.v1.tar")
    with pytest.raises(Corrupt, match="one raw blob for each file"):
        Version.parse(version.digest, content)
