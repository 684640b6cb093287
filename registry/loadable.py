"""Whether transformers and vLLM could load a model directory: what they need is there, and the parts agree."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from registry.errors import NotACheckpoint
from registry.safetensors_header import Tensor
from registry.values import parse_json

SHARDS = "model.safetensors.index.json"
WEIGHTS = "model.safetensors"
_PROCESSORS = ("preprocessor_config.json", "processor_config.json")
_TEMPLATE_FILES = ("chat_template.jinja", "chat_template.json")
_TOKENIZERS = ("BPE", "WordPiece", "WordLevel", "Unigram")
_OBJECTS = ("generation_config.json", "preprocessor_config.json", "processor_config.json", "special_tokens_map.json")
_TAIL = re.compile(r"for[a-z]+|model|lmheadmodel|chatmodel|")
_SHARD = re.compile(r"model-\d+-of-\d+\.safetensors")
_TEXT_LAYER = re.compile(r"(?:^|\.)(?:language_model|model)\.layers\.(\d+)\.")
_VISION_LAYER = re.compile(r"(?:^|\.)visual\.blocks\.(\d+)\.")
_EMBEDDING = re.compile(r"(?:^|\.)embed_tokens\.weight$")


def json_object(path: Path) -> Mapping[str, Any] | None:
    """A file's JSON object; None if the file does not exist. Raises ``NotACheckpoint``."""
    if not path.is_file():
        return None
    value = _json(path)
    if not isinstance(value, dict):
        raise NotACheckpoint(path, "it must hold a JSON object")
    return value


def check_json(directory: Path, files: Sequence[str]) -> None:
    """Raises NotACheckpoint for a JSON file that cannot be read."""
    for name in files:
        if name.endswith(".json"):
            _json(directory / name)


def check_model(directory: Path, config: Mapping[str, Any], headers: Mapping[str, Mapping[str, Tensor]]) -> None:
    """Raises NotACheckpoint with the first thing that is missing or does not fit."""
    for part in ("text_config", "vision_config"):
        if not isinstance(config.get(part, {}), dict):
            raise NotACheckpoint(directory, f"its config.json has a {part} that is no object")
    for name in _OBJECTS:
        json_object(directory / name)
    _check_architecture(directory, config)
    _check_shards(directory, headers)
    tensors = {name: tensor for header in headers.values() for name, tensor in header.items()}
    if not tensors:
        raise NotACheckpoint(directory, "its safetensors hold no tensors")
    _check_sizes(directory, config, tensors)
    _check_tokenizer(directory)
    _check_template(directory)
    if "vision_config" in config and not any(json_object(directory / name) for name in _PROCESSORS):
        raise NotACheckpoint(
            directory, "it has no preprocessor_config.json, without which no photo can be read; copy it from its base"
        )


def _check_architecture(directory: Path, config: Mapping[str, Any]) -> None:
    model_type, architectures = config.get("model_type"), config.get("architectures")
    if not isinstance(model_type, str) or not model_type:
        raise NotACheckpoint(directory, "its config.json names no model_type")
    if not isinstance(architectures, list) or not architectures or not all(isinstance(a, str) for a in architectures):
        raise NotACheckpoint(directory, "its config.json names no architectures")
    if config.get("auto_map"):
        raise NotACheckpoint(directory, "its config.json names code (auto_map), which is not pushed")
    family = re.sub(r"[^a-z0-9]", "", model_type.lower())
    for name in architectures:
        plain = re.sub(r"[^a-z0-9]", "", name.lower())
        if not plain.startswith(family) or not _TAIL.fullmatch(plain.removeprefix(family)):
            raise NotACheckpoint(directory, f"its config.json does not match itself: {model_type!r} is not a {name}")


def _check_shards(directory: Path, headers: Mapping[str, Mapping[str, Tensor]]) -> None:
    index = json_object(directory / SHARDS)
    shards = sorted(name for name in headers if _SHARD.fullmatch(name))
    if index is None:
        if WEIGHTS not in headers:
            raise NotACheckpoint(directory, f"it has neither {WEIGHTS} nor shards with {SHARDS}")
        if shards:
            raise NotACheckpoint(directory, f"it has {shards[0]} without {SHARDS}, and {WEIGHTS} too")
        return
    weight_map = index.get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map or not all(isinstance(v, str) for v in weight_map.values()):
        raise NotACheckpoint(directory, f"{SHARDS} has no weight_map")
    named = set(weight_map.values())
    if missing := sorted(named - set(headers)):
        raise NotACheckpoint(directory, f"{SHARDS} lists missing shards: {', '.join(missing)}")
    if unlisted := sorted({*shards, *({WEIGHTS} & set(headers))} - named):
        raise NotACheckpoint(directory, f"{SHARDS} does not list {', '.join(unlisted)}; remove what is left over")
    for tensor, shard in weight_map.items():
        if tensor not in headers[shard]:
            raise NotACheckpoint(directory, f"{SHARDS} lists {tensor!r} in {shard}, which does not hold it")
    for shard in sorted(named):
        for tensor in headers[shard]:
            if weight_map.get(tensor) != shard:
                raise NotACheckpoint(directory, f"{shard} holds {tensor!r}, which {SHARDS} does not list there")


def _check_sizes(directory: Path, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Compares the sizes that the config declares with the weights."""
    text = config.get("text_config")
    text = text if isinstance(text, dict) else config
    vision = config.get("vision_config")
    vision = vision if isinstance(vision, dict) else {}
    for part, declared, pattern in (
        ("num_hidden_layers", text.get("num_hidden_layers"), _TEXT_LAYER),
        ("vision_config.depth", vision.get("depth"), _VISION_LAYER),
    ):
        layers = {
            int(match[1])
            for name in tensors
            if (match := pattern.search(name)) and "visual" not in name[: match.start()]
        }
        if isinstance(declared, int) and layers != set(range(declared)):
            raise NotACheckpoint(
                directory,
                f"its config.json declares {part} {declared}, but its weights hold {len(layers)} of these layers",
            )
    shape = [text.get("vocab_size"), text.get("hidden_size")]
    if all(isinstance(number, int) for number in shape):
        found = [list(tensor.shape) for name, tensor in tensors.items() if _EMBEDDING.search(name)]
        if found != [shape]:
            raise NotACheckpoint(
                directory, f"its config.json declares embeddings of {shape}, but its weights hold {found or 'none'}"
            )


def _check_tokenizer(directory: Path) -> None:
    fast = json_object(directory / "tokenizer.json")
    model = fast.get("model") if fast is not None else None
    if fast is not None and not isinstance(model, dict):
        raise NotACheckpoint(directory / "tokenizer.json", "it is not a tokenizer: it has no 'model'")
    # Files of old releases of tokenizers name no type; the vocabulary tells it.
    if (isinstance(model, dict) and model.get("type", "BPE") not in _TOKENIZERS) or model == {}:
        raise NotACheckpoint(directory / "tokenizer.json", f"it is not a tokenizer: its model is not {_TOKENIZERS}")
    slow = json_object(directory / "vocab.json") and _has_bytes(directory / "merges.txt")
    pieces = any(_has_bytes(path) for pattern in ("*.model", "*.tiktoken") for path in directory.glob(pattern))
    if fast is None and not slow and not pieces:
        raise NotACheckpoint(
            directory, "it has no tokenizer (tokenizer.json, or vocab.json with merges.txt); copy it from its base"
        )


def _check_template(directory: Path) -> None:
    for path in (directory / name for name in _TEMPLATE_FILES if name.endswith(".jinja")):
        if _has_bytes(path) and not path.read_text("utf-8").strip():
            raise NotACheckpoint(path, "it is an empty chat template; copy it from its base")
    settings = json_object(directory / "tokenizer_config.json") or {}
    if not settings.get("chat_template") and not any(_has_bytes(directory / name) for name in _TEMPLATE_FILES):
        raise NotACheckpoint(directory, "it has no chat template (chat_template.jinja); copy it from its base")


def _has_bytes(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0


def _json(path: Path) -> object:
    try:
        content = path.read_bytes()
        if content.startswith(b"\xef\xbb\xbf"):
            raise ValueError("it begins with a byte order mark, which transformers does not read")
        return parse_json(content)
    except ValueError as error:
        raise NotACheckpoint(path, f"it is not JSON: {error}") from error
