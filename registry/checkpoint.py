"""What a Hugging Face directory holds, before it becomes a version: which of its files, and the facts that they state.

Only safetensors are weights: ``.bin`` and ``.pt`` are pickles, which run code when they are loaded. What a trainer leaves
beside a checkpoint (optimizer, logs, its own arguments, which may hold tokens) does not belong to the model.
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
_LEFT = {"trainer_state.json", "args.json", "sft_args.json", "logging.jsonl", "all_results.json", "train_results.json"}
_TEMPLATES = "additional_chat_templates"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A directory that can become a version. ``files`` and ``left_out`` are paths relative to it, sorted."""

    directory: Path
    kind: Literal["model", "adapter"]
    files: tuple[str, ...]
    left_out: tuple[str, ...]
    model_type: str | None
    architecture: str | None
    precision: str | None
    sees: bool
    facts: VersionFacts


def read_checkpoint(directory: Path) -> Checkpoint:
    """What ``directory`` is; reads headers and JSON only.

    Raises:
        NotACheckpoint: what is missing or cut, in one sentence.
    """
    if not directory.is_dir():
        raise NotACheckpoint(directory, "name a directory with config.json and *.safetensors, or a peft adapter")
    files, left_out = _split(directory)
    weights = [name for name in files if name.endswith(".safetensors")]
    config = _object(directory / "config.json")
    adapter = _object(directory / ADAPTER_CONFIG)
    if adapter is not None and set(weights) <= {ADAPTER_WEIGHTS}:
        _check_adapter(directory, weights)
    else:
        _check_model(directory, config, weights, left_out)
    for name in weights:
        check_safetensors(directory / name)
    said = config or {}
    return Checkpoint(
        directory=directory,
        kind="model" if adapter is None or set(weights) - {ADAPTER_WEIGHTS} else "adapter",
        files=tuple(files),
        left_out=tuple(left_out),
        model_type=_text(said.get("model_type")),
        architecture=_text(next(iter(said.get("architectures") or []), None)),
        precision=_text(said.get("dtype") or said.get("torch_dtype")),
        sees="vision_config" in said,
        facts=_facts(directory, adapter),
    )


def merged_facts(found: VersionFacts, given: VersionFacts | None) -> VersionFacts:
    """What the directory says, under what the caller says."""
    if given is None:
        return found
    said = {field: value for field in VersionFacts.__dataclass_fields__ if (value := getattr(given, field))}
    return replace(found, **said)


def check_safetensors(path: Path) -> None:
    """Raises NotACheckpoint unless the file is as long as its header says (a cut download is not)."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else size
        if length > size - 8:
            raise NotACheckpoint(path, f"it is no whole safetensors file: it has {size:,} bytes and its header is cut")
        try:
            header = json.loads(file.read(length))
            end = max((entry["data_offsets"][1] for key, entry in header.items() if key != "__metadata__"), default=0)
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise NotACheckpoint(path, f"it is no safetensors file: its header cannot be read ({error})") from error
    if size != 8 + length + end:
        raise NotACheckpoint(path, f"it is cut: it has {size:,} bytes and its header promises {8 + length + end:,}")


def _split(directory: Path) -> tuple[list[str], list[str]]:
    """The files that belong to the model, and what stays behind."""
    files: list[str] = []
    left_out: list[str] = []
    for path in sorted(directory.iterdir()):
        name = path.name
        if path.is_dir():
            if name == _TEMPLATES:
                files += [f"{name}/{part.name}" for part in sorted(path.glob("*.jinja"))]
            else:
                left_out.append(f"{name}/")
        elif path.is_file() and name not in _LEFT and not name.startswith(".") and _belongs(name):
            files.append(name)
        else:
            left_out.append(name)
    return files, left_out


def _belongs(name: str) -> bool:
    return name.endswith(_PARTS) or name.startswith(_DOCUMENTS)


def _check_adapter(directory: Path, weights: Iterable[str]) -> None:
    if ADAPTER_WEIGHTS not in weights:
        raise NotACheckpoint(directory, f"it has {ADAPTER_CONFIG} but no {ADAPTER_WEIGHTS} (save it as safetensors)")


def _check_model(directory: Path, config: Mapping[str, Any] | None, weights: list[str], left_out: list[str]) -> None:
    if config is None:
        inner = sorted(path.parent.name for path in directory.glob("*/*config.json"))
        hint = f"; did you mean {inner[-1]!r} inside it?" if inner else ""
        raise NotACheckpoint(directory, f"it has no config.json{hint}")
    if "model_type" not in config:
        raise NotACheckpoint(directory, "its config.json names no model_type")
    if not weights:
        pickled = [name for name in left_out if name.endswith((".bin", ".pt", ".pth"))]
        why = f"{pickled[0]} is a pickle, which is not accepted: save it as safetensors" if pickled else "it has none"
        raise NotACheckpoint(directory, f"it needs weights as *.safetensors; {why}")
    shards = _object(directory / _SHARDS)
    if shards is not None:
        missing = sorted({str(name) for name in dict(shards.get("weight_map", {})).values()} - set(weights))
        if missing:
            raise NotACheckpoint(directory, f"{_SHARDS} names shards that are not there: {', '.join(missing)}")


def _facts(directory: Path, adapter: Mapping[str, Any] | None) -> VersionFacts:
    """What our exporter (or trainer) wrote beside the weights; another tool's adapter at least names its base."""
    said = _object(directory / MANIFEST)
    trained = _object(directory / _TRAINING)
    if said is not None:
        return VersionFacts(
            base_model=_text((said.get("base") or {}).get("name")),
            adapter=_text(said.get("adapter")),
            dataset=_text(said.get("dataset")),
            run=_text(said.get("config")),
            git_revision=_text(said.get("git_revision")),
            contract=_contract(said),
        )
    if trained is not None:
        return VersionFacts(
            base_model=_text(trained.get("base")),
            dataset=_text(trained.get("dataset_digest")),
            run=_text(trained.get("config_digest")),
            git_revision=_text(trained.get("git_revision")),
            contract=_contract(trained),
        )
    return VersionFacts(base_model=_text((adapter or {}).get("base_model_name_or_path")))


def _contract(said: Mapping[str, Any]) -> dict[str, str]:
    return {str(part): value for part, value in (said.get("contract") or {}).items() if isinstance(value, str)}


def _object(path: Path) -> Mapping[str, Any] | None:
    """A file's JSON object; None where there is no file."""
    if not path.is_file():
        return None
    try:
        value = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise NotACheckpoint(path, f"it is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise NotACheckpoint(path, "it must hold a JSON object")
    return value


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
