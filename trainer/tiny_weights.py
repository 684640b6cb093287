"""First weights of a tiny checkpoint: what transformers draws, with places and numbers that start out in order.

Trained from nothing, a model must first find out that 500 lies beside 501 and the left of a photo beside its middle. Both
are known, so number tokens and patch positions begin as sinusoids (Vaswani 2017): near ones alike, far ones not.
"""

from __future__ import annotations

import math
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import AutoConfig, Qwen3VLForConditionalGeneration

from vqc.geometry import NORM

NUMBER_STD = 0.02
"""Of the number embeddings: that of all others."""
POSITION_STD = 0.2
"""Of the patch position table: about half of what patches of a photo give."""


def sinusoids(count: int, width: int, *, longest: float, shortest: float) -> torch.Tensor:
    """table_CW with unit variance: ``width`` / 2 waves in sine and cosine, wavelengths geometric between the two."""
    waves = torch.logspace(math.log10(longest), math.log10(shortest), width // 2, dtype=torch.float64)
    phase = 2 * math.pi * torch.arange(count, dtype=torch.float64)[:, None] / waves
    return (math.sqrt(2) * torch.cat([phase.sin(), phase.cos()], 1)).float()


def write_weights(directory: Path, *, seed: int, device: str = "cpu") -> None:
    """Writes ``model.safetensors`` for ``config.json`` of ``directory``, in bfloat16; the same for the same seed and device."""
    with torch.random.fork_rng(devices=[]), torch.device(device):
        torch.manual_seed(seed)
        model = Qwen3VLForConditionalGeneration(AutoConfig.from_pretrained(directory))
    with torch.no_grad():
        numbers = model.model.language_model.embed_tokens.weight[: NORM + 1]
        numbers.copy_(NUMBER_STD * sinusoids(NORM + 1, numbers.shape[1], longest=4 * NORM, shortest=8))
        positions = model.model.visual.pos_embed.weight
        side, half = math.isqrt(len(positions)), positions.shape[1] // 2
        axis = POSITION_STD * sinusoids(side, half, longest=4 * side, shortest=4)
        positions.copy_(torch.cat([axis.repeat_interleave(side, 0), axis.repeat(side, 1)], 1))
    weights = {
        name: tensor.to("cpu", torch.bfloat16).contiguous()
        for name, tensor in model.state_dict().items()
        if name != "lm_head.weight"  # tied to the embeddings
    }
    save_file(weights, directory / "model.safetensors", metadata={"format": "pt"})
