"""Qwen3-VL checkpoint directories of real size without weights, for ``vllm serve --load-format dummy``.

Speed and memory are those of a real model, the answers are noise. The sizes are those of the released models.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from vqc.errors import InvalidValue

VOCABULARY = 151_936
"""Entries of the tokenizer, padded so that every id that random weights choose can be decoded."""

MAX_PIXELS = 1024 * 768
"""Larger photos are scaled down to this size (768 tokens), as for a model trained on such photos."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSize:
    """Sizes of the language model and, with prefix, of the vision tower, as a config names them."""

    hidden: int
    layers: int
    heads: int
    mlp: int
    tied: bool
    vision_hidden: int
    vision_mlp: int
    vision_depth: int
    deepstack: tuple[int, int, int]


SIZES = {
    "2b": ModelSize(
        hidden=2048, layers=28, heads=16, mlp=6144, tied=True,
        vision_hidden=1024, vision_mlp=4096, vision_depth=24, deepstack=(5, 11, 17),
    ),
    "4b": ModelSize(
        hidden=2560, layers=36, heads=32, mlp=9728, tied=True,
        vision_hidden=1024, vision_mlp=4096, vision_depth=24, deepstack=(5, 11, 17),
    ),
    "8b": ModelSize(
        hidden=4096, layers=36, heads=32, mlp=12288, tied=False,
        vision_hidden=1152, vision_mlp=4304, vision_depth=27, deepstack=(8, 16, 24),
    ),
}  # fmt: skip

_COPIED_SUFFIXES = {".json", ".jinja", ".txt"}
_WRITTEN_FILES = {"config.json", "tokenizer.json", "preprocessor_config.json", "vqc_manifest.json"}


def write_dummy_checkpoint(source: Path, out: Path, size: str) -> Path:
    """Writes ``out`` and returns it; tokenizer, processor and chat template come from the Qwen3-VL directory ``source``.

    Raises:
        InvalidValue: an unknown size, or a source that is not such a directory.
    """
    if size not in SIZES:
        raise InvalidValue("size", size, f"valid: {', '.join(SIZES)}")
    try:
        tokenizer: dict[str, Any] = json.loads((source / "tokenizer.json").read_text("utf-8"))
        ids = {token["content"]: token["id"] for token in tokenizer["added_tokens"]}
        config = _config(SIZES[size], ids)
        processor = json.loads((source / "preprocessor_config.json").read_text("utf-8"))
        processor["size"]["longest_edge"] = MAX_PIXELS
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidValue("source", str(source), f"must be a Qwen3-VL checkpoint directory: {error!r}") from error
    out.mkdir(parents=True, exist_ok=True)
    for path in source.iterdir():
        if path.suffix in _COPIED_SUFFIXES and path.name not in _WRITTEN_FILES and "safetensors" not in path.name:
            shutil.copy(path, out)
    vocabulary = tokenizer["model"]["vocab"]
    # Without this the tokenizer would number the added tokens again, behind the padding, and the config's ids would be wrong.
    vocabulary.update(ids)
    for token_id in range(max(vocabulary.values()) + 1, VOCABULARY):
        vocabulary[f"x{token_id:06d}"] = token_id
    _write(out / "tokenizer.json", tokenizer)
    _write(out / "config.json", config)
    _write(out / "preprocessor_config.json", processor)
    return out


def _config(size: ModelSize, ids: dict[str, int]) -> dict[str, Any]:
    rope = {"rope_type": "default", "rope_theta": 5_000_000, "mrope_section": [24, 20, 20], "mrope_interleaved": True}
    text = {
        "model_type": "qwen3_vl_text", "vocab_size": VOCABULARY, "hidden_size": size.hidden, "num_hidden_layers": size.layers,
        "num_attention_heads": size.heads, "num_key_value_heads": 8, "head_dim": 128, "intermediate_size": size.mlp,
        "hidden_act": "silu", "max_position_embeddings": 262_144, "rms_norm_eps": 1e-6, "rope_theta": 5_000_000,
        "rope_scaling": rope, "rope_parameters": rope, "tie_word_embeddings": size.tied, "dtype": "bfloat16",
        "eos_token_id": ids["<|im_end|>"], "bos_token_id": ids["<|endoftext|>"],
    }  # fmt: skip
    vision = {
        "model_type": "qwen3_vl", "depth": size.vision_depth, "hidden_size": size.vision_hidden,
        "intermediate_size": size.vision_mlp, "num_heads": 16, "patch_size": 16, "spatial_merge_size": 2,
        "temporal_patch_size": 2, "out_hidden_size": size.hidden, "num_position_embeddings": 2304,
        "deepstack_visual_indexes": [*size.deepstack], "hidden_act": "gelu_pytorch_tanh", "in_channels": 3,
    }  # fmt: skip
    return {
        "architectures": ["Qwen3VLForConditionalGeneration"],
        "model_type": "qwen3_vl",
        "dtype": "bfloat16",
        "tie_word_embeddings": size.tied,
        "image_token_id": ids["<|image_pad|>"],
        "video_token_id": ids["<|video_pad|>"],
        "vision_start_token_id": ids["<|vision_start|>"],
        "vision_end_token_id": ids["<|vision_end|>"],
        "text_config": text,
        "vision_config": vision,
    }


def _write(path: Path, document: dict[str, Any]) -> None:
    path.write_text(json.dumps(document, ensure_ascii=False), "utf-8")


@click.command()
@click.argument("size", type=click.Choice(["2b", "4b", "8b"]))
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--from",
    "source",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path("deploy/demo/model"),
    show_default=True,
    help="Qwen3-VL directory whose tokenizer, processor and chat template are copied.",
)
def dummy(size: str, out: Path, source: Path) -> None:
    """Write a Qwen3-VL checkpoint of real size without weights, for --random-weights: real speed and memory, but noise."""
    click.echo(write_dummy_checkpoint(source, out, size))
