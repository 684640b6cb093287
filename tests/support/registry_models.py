"""Checkpoint directories for the registry's tests: real safetensors files, a few bytes or sparse gigabytes."""

from __future__ import annotations

import json
import random
import struct
from hashlib import sha256
from pathlib import Path

CONFIG = {
    "model_type": "qwen3_vl",
    "architectures": ["Qwen3VLForConditionalGeneration"],
    "vision_config": {},
    "dtype": "bfloat16",
}


TOKENIZER = '{"model": {"type": "BPE", "vocab": {}, "merges": []}}'
OTHER_TOKENIZER = '{"model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}}'


def write_safetensors(path: Path, size: int, seed: int | None = 0, tensor: str = "w") -> None:
    """One tensor of ``size`` bytes: random, or with ``seed=None`` a hole that takes no room."""
    header = json.dumps({tensor: {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        if seed is None:
            file.truncate(8 + len(header) + size)
        else:
            file.write(random.Random(seed).randbytes(size))


def write_model(directory: Path, *, seed: int | None = 0, size: int = 4000, shards: int = 2) -> Path:
    """A sharded model directory, with what a trainer leaves beside it."""
    directory.mkdir(parents=True)
    names = [f"model-{shard + 1:05}-of-{shards:05}.safetensors" for shard in range(shards)]
    for shard, name in enumerate(names):
        write_safetensors(directory / name, size + shard, None if seed is None else seed * 1000 + shard, f"w{shard}")
    weight_map = {f"w{shard}": name for shard, name in enumerate(names)}
    (directory / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    (directory / "config.json").write_text(json.dumps(CONFIG))
    (directory / "tokenizer.json").write_text(TOKENIZER)
    (directory / "preprocessor_config.json").write_text('{"image_processor_type": "Qwen2VLImageProcessorFast"}')
    (directory / "chat_template.jinja").write_text("{{ messages }}")
    (directory / "README.md").write_text("# A model\n")
    (directory / "optimizer.pt").write_bytes(b"pickle")
    (directory / "args.json").write_text('{"hub_token": "secret"}')
    return directory


def write_adapter(directory: Path, base: str = "/models/base") -> Path:
    """A peft adapter."""
    directory.mkdir(parents=True)
    write_safetensors(directory / "adapter_model.safetensors", 300, 7)
    config = {"peft_type": "LORA", "base_model_name_or_path": base, "r": 8}
    (directory / "adapter_config.json").write_text(json.dumps(config))
    return directory


def digests(directory: Path) -> dict[str, str]:
    """Every file of a directory by its SHA-256."""
    return {path.name: sha256(path.read_bytes()).hexdigest() for path in sorted(directory.iterdir()) if path.is_file()}


BELONGS = {
    "README.md",
    "chat_template.jinja",
    "config.json",
    "model-00001-of-00002.safetensors",
    "model-00002-of-00002.safetensors",
    "model.safetensors.index.json",
    "preprocessor_config.json",
    "tokenizer.json",
}
