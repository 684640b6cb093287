"""Inspects a Hugging Face directory before it becomes a version: which files belong to it, and the facts they declare.

Only safetensors count as weights: ``.bin`` and ``.pt`` are pickles, which execute code when loaded. A trainer's other
files (optimizer, logs, its arguments, which may contain tokens) do not belong to the model.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from registry.errors import NotACheckpoint
from registry.values import VersionFacts
from vqc.contract import MANIFEST

ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
_TRAINING = "vqc_training.json"
_SHARDS = "model.safetensors.index.json"
_PARTS = (".safetensors", ".json", ".jinja", ".txt", ".model", ".tiktoken", ".md")
_DOCUMENTS = ("LICENSE", "NOTICE", "USE_POLICY")
_EXCLUDED = {
    "trainer_state.json",
    "args.json",
    "sft_args.json",
    "logging.jsonl",
    "all_results.json",
    "train_results.json",
}
_TEMPLATES = "additional_chat_templates"


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
    """Inspects ``directory``, reading headers and JSON only.

    Raises:
        NotACheckpoint: what is missing or truncated, in one sentence.
    """
    if not directory.is_dir():
        raise NotACheckpoint(directory, "name a directory with config.json and *.safetensors, or a peft adapter")
    files, left_out = _split(directory)
    weights = [name for name in files if name.endswith(".safetensors")]
    config = _json_object(directory / "config.json")
    adapter = _json_object(directory / ADAPTER_CONFIG)
    if adapter is not None and set(weights) <= {ADAPTER_WEIGHTS}:
        _check_adapter(directory, weights)
    else:
        _check_model(directory, config, weights, left_out)
    for name in weights:
        check_safetensors(directory / name)
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


def check_safetensors(path: Path) -> None:
    """Raises NotACheckpoint unless the file has the length that its header declares (a truncated download has not)."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else size
        if length > size - 8:
            raise NotACheckpoint(path, f"it is not a complete safetensors file: {size:,} bytes, header truncated")
        try:
            header = json.loads(file.read(length))
            end = max((entry["data_offsets"][1] for key, entry in header.items() if key != "__metadata__"), default=0)
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise NotACheckpoint(path, f"it is not a safetensors file: its header cannot be read ({error})") from error
    if size != 8 + length + end:
        raise NotACheckpoint(path, f"it is truncated: {size:,} bytes, but its header declares {8 + length + end:,}")


def _split(directory: Path) -> tuple[list[str], list[str]]:
    """The files that belong to the model, and those that do not."""
    files: list[str] = []
    left_out: list[str] = []
    for path in sorted(directory.iterdir()):
        name = path.name
        if path.is_dir():
            if name == _TEMPLATES:
                files += [f"{name}/{part.name}" for part in sorted(path.glob("*.jinja"))]
            else:
                left_out.append(f"{name}/")
        elif path.is_file() and name not in _EXCLUDED and not name.startswith(".") and _belongs(name):
            files.append(name)
        else:
            left_out.append(name)
    return files, left_out


def _belongs(name: str) -> bool:
    return name.endswith(_PARTS) or name.startswith(_DOCUMENTS)


def _check_adapter(directory: Path, weights: Iterable[str]) -> None:
    if ADAPTER_WEIGHTS not in weights:
        raise NotACheckpoint(directory, f"it has {ADAPTER_CONFIG} but no {ADAPTER_WEIGHTS}; save it as safetensors")


def _check_model(directory: Path, config: Mapping[str, Any] | None, weights: list[str], left_out: list[str]) -> None:
    if config is None:
        inner = sorted(path.parent.name for path in directory.glob("*/*config.json"))
        hint = f"; did you mean {inner[-1]!r} inside it?" if inner else ""
        raise NotACheckpoint(directory, f"it has no config.json{hint}")
    if "model_type" not in config:
        raise NotACheckpoint(directory, "its config.json names no model_type")
    if not weights:
        pickled = [name for name in left_out if name.endswith((".bin", ".pt", ".pth"))]
        why = f"{pickled[0]} is a pickle, which is rejected: save it as safetensors" if pickled else "it has none"
        raise NotACheckpoint(directory, f"it needs weights as *.safetensors; {why}")
    shards = _json_object(directory / _SHARDS)
    if shards is not None:
        missing = sorted({str(name) for name in dict(shards.get("weight_map", {})).values()} - set(weights))
        if missing:
            raise NotACheckpoint(directory, f"{_SHARDS} lists missing shards: {', '.join(missing)}")


def _facts(directory: Path, adapter: Mapping[str, Any] | None) -> VersionFacts:
    """The facts that our exporter or trainer wrote beside the weights; another tool's adapter declares at least its base."""
    declared = _json_object(directory / MANIFEST)
    trained = _json_object(directory / _TRAINING)
    if declared is not None:
        return VersionFacts(
            base_model=_text_or_none((declared.get("base") or {}).get("name")),
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
    return {str(part): value for part, value in (declared.get("contract") or {}).items() if isinstance(value, str)}


def _json_object(path: Path) -> Mapping[str, Any] | None:
    """A file's JSON object; None if the file does not exist."""
    if not path.is_file():
        return None
    try:
        value = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise NotACheckpoint(path, f"it is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise NotACheckpoint(path, "it must hold a JSON object")
    return value


def _text_or_none(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
