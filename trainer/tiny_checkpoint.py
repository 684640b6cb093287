"""Creates a complete Qwen3-VL checkpoint with a few million random parameters, so that everything runs offline on a CPU.

    python -m trainer.tiny_checkpoint OUT

``AutoProcessor`` and ``AutoModelForImageTextToText`` open the directory, and vLLM serves it. Its weights are random, so
its answers are meaningless until it is trained. The same seed writes the same bytes.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trainer.tiny_corpus import domain_corpus
from trainer.tiny_tokenizer import train_tokenizer

if TYPE_CHECKING:
    from tokenizers import Tokenizer

CHAT_TEMPLATE = """\
{%- for message in messages %}
    {{- '<|im_start|>' + message.role + '\\n' }}
    {%- if message.content is string %}
        {{- message.content }}
    {%- else %}
        {%- for item in message.content %}
            {%- if item.type == 'image' or 'image' in item or 'image_url' in item %}
                {{- '<|vision_start|><|image_pad|><|vision_end|>' }}
            {%- elif 'text' in item %}
                {{- item.text }}
            {%- endif %}
        {%- endfor %}
    {%- endif %}
    {{- '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""
"""Qwen's ChatML: one placeholder per photo, which the processor repeats once per vision token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """The sizes of a Qwen3-VL. The defaults give 3 M parameters.

    ``deepstack`` lists the vision layers whose features are added to the first text layers. Photos are resized to
    between ``min_pixels`` and ``max_pixels``, in steps of 32 px; each 32 x 32 px is one token.
    """

    text_layers: int = 4
    text_width: int = 128
    text_heads: int = 4
    text_kv_heads: int = 2
    head_dim: int = 32
    text_mlp: int = 384
    rope_theta: float = 100_000.0
    max_position_embeddings: int = 32_768

    vision_layers: int = 4
    vision_width: int = 128
    vision_heads: int = 4
    vision_mlp: int = 256
    vision_grid: int = 32
    """Side of the learned grid of position embeddings, which is interpolated to each photo's grid."""
    deepstack: tuple[int, ...] = (0, 1, 2)

    min_pixels: int = 65_536
    max_pixels: int = 786_432

    vocabulary: int = 0
    """Rows of the embedding, if more than the tokenizer has tokens."""


SIZES = {
    "tiny": Architecture(),
    "demo": Architecture(
        text_layers=6,
        text_width=256,
        text_heads=4,
        text_kv_heads=2,
        head_dim=64,
        text_mlp=768,
        vision_layers=6,
        vision_width=192,
        vision_heads=3,
        vision_mlp=768,
        deepstack=(1, 3, 5),
        max_pixels=512 * 384,
    ),
    "4b": Architecture(
        text_layers=36,
        text_width=2560,
        text_heads=32,
        text_kv_heads=8,
        head_dim=128,
        text_mlp=9728,
        rope_theta=5_000_000.0,
        max_position_embeddings=262_144,
        vision_layers=24,
        vision_width=1024,
        vision_heads=16,
        vision_mlp=4096,
        vision_grid=48,
        deepstack=(5, 11, 17),
        vocabulary=151_936,
    ),
}
"""``tiny`` runs everything in seconds. ``demo`` (11 M parameters) can learn to see drawn scenes of 512 x 384 px. ``4b`` is for
speed measurements: the shape of Qwen3-VL-4B-Instruct with random weights (9 GB; creating it takes 30 GB of memory)."""


def build_tiny_checkpoint(
    out: Path,
    *,
    seed: int = 0,
    architecture: Architecture | None = None,
    corpus: Iterable[str] | None = None,
) -> Path:
    """Writes a complete checkpoint directory to ``out`` and returns it: bfloat16 weights, tokenizer, processors, template.

    ``corpus`` is the text that the tokenizer learns its pieces from; the default is the domain's own words. A failed
    build leaves no directory behind.

    Raises:
        FileExistsError: ``out`` exists and is not empty.
    """
    out = Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise FileExistsError(f"{str(out)!r} exists; name a new directory")
    architecture = architecture or Architecture()
    tokenizer = train_tokenizer(domain_corpus(seed=0) if corpus is None else corpus)
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        tokenizer.save(str(partial / "tokenizer.json"))
        (partial / "chat_template.jinja").write_text(CHAT_TEMPLATE, encoding="utf-8")
        config = _model_config(architecture, tokenizer)
        for name, content in {
            **_processor_files(architecture),
            **_token_files(tokenizer),
            "config.json": config,
        }.items():
            (partial / name).write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
        from trainer.tiny_weights import write_weights

        write_weights(partial, seed=seed, device=_drawing_device(architecture))
        for path in partial.iterdir():
            path.chmod(0o644)
        partial.chmod(0o755)
        partial.replace(out)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return out


def _drawing_device(architecture: Architecture) -> str:
    """Where random weights are drawn: billions on a GPU if there is one, which takes seconds; few always on the CPU.

    A CPU draws the same numbers on every machine.
    """
    import torch

    return "cuda" if architecture.vocabulary and torch.cuda.is_available() else "cpu"


def _model_config(architecture: Architecture, tokenizer: Tokenizer) -> dict[str, object]:
    """``config.json``, with the rotary keys in the spellings of both transformers 4 and 5."""
    a, token = architecture, tokenizer.token_to_id
    rope = {
        "rope_type": "default",
        "rope_theta": a.rope_theta,
        "mrope_section": _mrope_section(a.head_dim),
        "mrope_interleaved": True,
    }
    return {
        "architectures": ["Qwen3VLForConditionalGeneration"],
        "model_type": "qwen3_vl",
        "dtype": "bfloat16",
        "tie_word_embeddings": True,
        "image_token_id": token("<|image_pad|>"),
        "video_token_id": token("<|video_pad|>"),
        "vision_start_token_id": token("<|vision_start|>"),
        "vision_end_token_id": token("<|vision_end|>"),
        "text_config": {
            "model_type": "qwen3_vl_text",
            "vocab_size": max(tokenizer.get_vocab_size(), a.vocabulary),
            "hidden_size": a.text_width,
            "num_hidden_layers": a.text_layers,
            "num_attention_heads": a.text_heads,
            "num_key_value_heads": a.text_kv_heads,
            "head_dim": a.head_dim,
            "intermediate_size": a.text_mlp,
            "hidden_act": "silu",
            "max_position_embeddings": a.max_position_embeddings,
            "rms_norm_eps": 1e-6,
            "rope_theta": a.rope_theta,
            "rope_scaling": rope,
            "rope_parameters": rope,
            "tie_word_embeddings": True,
            "dtype": "bfloat16",
            "eos_token_id": token("<|im_end|>"),
            "bos_token_id": token("<|endoftext|>"),
            "pad_token_id": token("<|endoftext|>"),
        },
        "vision_config": {
            "model_type": "qwen3_vl",
            "depth": a.vision_layers,
            "hidden_size": a.vision_width,
            "intermediate_size": a.vision_mlp,
            "num_heads": a.vision_heads,
            "patch_size": 16,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
            "out_hidden_size": a.text_width,
            "num_position_embeddings": a.vision_grid**2,
            "deepstack_visual_indexes": list(a.deepstack),
            "hidden_act": "gelu_pytorch_tanh",
            "in_channels": 3,
        },
    }


def _mrope_section(head_dim: int) -> list[int]:
    """Half the head's frequencies, divided among time, height and width in Qwen3-VL's proportion (24, 20, 20 of 64)."""
    half = head_dim // 2
    space = half * 20 // 64
    return [half - 2 * space, space, space]


def _token_files(tokenizer: Tokenizer) -> dict[str, dict[str, object]]:
    end, pad = tokenizer.token_to_id("<|im_end|>"), tokenizer.token_to_id("<|endoftext|>")
    return {
        "tokenizer_config.json": {
            # Not Qwen2Tokenizer, which would replace the file's pre-tokenizer by Qwen's own.
            "tokenizer_class": "PreTrainedTokenizerFast",
            "eos_token": "<|im_end|>",
            "pad_token": "<|endoftext|>",
            "bos_token": None,
            "unk_token": None,
            "add_bos_token": False,
            "add_prefix_space": False,
            "clean_up_tokenization_spaces": False,
            "errors": "replace",
            "model_max_length": 32_768,
            "split_special_tokens": False,
        },
        "generation_config.json": {"eos_token_id": [end, pad], "pad_token_id": pad, "do_sample": False},
    }


def _processor_files(architecture: Architecture) -> dict[str, dict[str, object]]:
    shared = {
        "size": {"shortest_edge": architecture.min_pixels, "longest_edge": architecture.max_pixels},
        "patch_size": 16,
        "temporal_patch_size": 2,
        "merge_size": 2,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
        "processor_class": "Qwen3VLProcessor",
    }
    return {
        "preprocessor_config.json": {**shared, "image_processor_type": "Qwen2VLImageProcessorFast"},
        "video_preprocessor_config.json": {**shared, "video_processor_type": "Qwen3VLVideoProcessor"},
    }


def main() -> None:
    """Creates a checkpoint and prints its path."""
    parser = argparse.ArgumentParser(prog="python -m trainer.tiny_checkpoint", description=main.__doc__)
    parser.add_argument("out", type=Path, help="directory to create")
    parser.add_argument("--seed", type=int, default=0, help="seed of the random weights (default: %(default)s)")
    parser.add_argument("--size", choices=SIZES, default="tiny", help="size of the model (default: %(default)s)")
    arguments = parser.parse_args()
    print(build_tiny_checkpoint(arguments.out, seed=arguments.seed, architecture=SIZES[arguments.size]))


if __name__ == "__main__":
    main()
