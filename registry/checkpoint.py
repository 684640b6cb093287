"""Inspects a Hugging Face directory before it becomes a version: which files belong to it, and the facts they declare.

Only safetensors count as weights: ``.bin`` and ``.pt`` are pickles, which execute code when loaded. ``checkpoint_files``
decides which files are pushed, ``loadable`` whether they are a model that can be loaded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from registry.checkpoint_files import pushed_files
from registry.errors import NotACheckpoint
from registry.loadable import check_json, check_model, json_object
from registry.safetensors_header import read_header
from registry.values import VersionFacts
from vqc.contract import MANIFEST

ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
_TRAINING = "vqc_training.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A directory that can become a version. ``files`` and ``left_out`` are relative paths, sorted."""

    directory: Path
    kind: Literal["model", "adapter"]
    files: tuple[str, ...]
    left_out: tuple[str, ...]
    model_type: str | None
    architecture: str | None
    precision: str | None
    has_vision: bool
    facts: VersionFacts


def read_checkpoint(directory: Path) -> Checkpoint:
    """Inspects ``directory``, reading headers and JSON only. What transformers and vLLM could not load is refused.

    Raises:
        NotACheckpoint: what is missing, truncated or not pushed, in one sentence.
    """
    if not directory.is_dir():
        raise NotACheckpoint(directory, "name a directory with config.json and *.safetensors, or a peft adapter")
    files, left_out = pushed_files(directory)
    check_json(directory, files)
    weights = [name for name in files if name.endswith(".safetensors")]
    config = json_object(directory / "config.json")
    adapter = json_object(directory / ADAPTER_CONFIG)
    headers = {name: read_header(directory / name) for name in weights}
    if adapter is not None and set(weights) <= {ADAPTER_WEIGHTS}:
        _check_adapter(directory, adapter, weights)
    else:
        check_model(directory, _require_config(directory, config, weights), headers)
    declared = config or {}
    return Checkpoint(
        directory=directory,
        kind="model" if adapter is None or set(weights) - {ADAPTER_WEIGHTS} else "adapter",
        files=tuple(files),
        left_out=tuple(left_out),
        model_type=_text_or_none(declared.get("model_type")),
        architecture=_text_or_none(next(iter(declared.get("architectures") or []), None)),
        precision=_text_or_none(declared.get("dtype") or declared.get("torch_dtype")),
        has_vision="vision_config" in declared,
        facts=_facts(directory, adapter),
    )


def merged_facts(found: VersionFacts, given: VersionFacts | None) -> VersionFacts:
    """The facts of the directory, overridden by the caller's."""
    if given is None:
        return found
    overrides = {field: value for field in VersionFacts.__dataclass_fields__ if (value := getattr(given, field))}
    return replace(found, **overrides)


def _check_adapter(directory: Path, adapter: Mapping[str, Any], weights: Iterable[str]) -> None:
    if ADAPTER_WEIGHTS not in weights:
        raise NotACheckpoint(directory, f"it has {ADAPTER_CONFIG} but no {ADAPTER_WEIGHTS}; save it as safetensors")
    if _text_or_none(adapter.get("peft_type")) is None:
        raise NotACheckpoint(directory, f"its {ADAPTER_CONFIG} names no peft_type")


def _require_config(directory: Path, config: Mapping[str, Any] | None, weights: list[str]) -> Mapping[str, Any]:
    """The config of a model that has weights. Raises ``NotACheckpoint``."""
    if config is None:
        inner = sorted(path.parent.name for path in directory.glob("*/*config.json"))
        hint = f"; did you mean {inner[-1]!r} inside it?" if inner else ""
        raise NotACheckpoint(directory, f"it has no config.json{hint}")
    if not weights:
        raise NotACheckpoint(directory, "it needs weights as *.safetensors; it has none")
    return config


def _facts(directory: Path, adapter: Mapping[str, Any] | None) -> VersionFacts:
    """The facts that our exporter or trainer wrote beside the weights; another tool's adapter declares at least its base."""
    declared = json_object(directory / MANIFEST)
    trained = json_object(directory / _TRAINING)
    if declared is not None:
        return VersionFacts(
            base_model=_text_or_none(_mapping(declared.get("base")).get("name")),
            adapter=_text_or_none(declared.get("adapter")),
            dataset=_text_or_none(declared.get("dataset")),
            run=_text_or_none(declared.get("config")),
            git_revision=_text_or_none(declared.get("git_revision")),
            contract=_contract(declared),
        )
    if trained is not None:
        return VersionFacts(
            base_model=_text_or_none(trained.get("base")),
            dataset=_text_or_none(trained.get("dataset_digest")),
            run=_text_or_none(trained.get("config_digest")),
            git_revision=_text_or_none(trained.get("git_revision")),
            contract=_contract(trained),
        )
    return VersionFacts(base_model=_text_or_none((adapter or {}).get("base_model_name_or_path")))


def _contract(declared: Mapping[str, Any]) -> dict[str, str]:
    return {str(part): value for part, value in _mapping(declared.get("contract")).items() if isinstance(value, str)}


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text_or_none(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
