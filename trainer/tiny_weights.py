"""Initial weights of a tiny checkpoint: transformers' own, but number tokens and patch positions start as sinusoids.

A model that is trained from scratch must first learn that 500 is next to 501, and the left of a photo next to its
middle. Sinusoids (Vaswani 2017) give it that from the start: neighbours are similar, distant ones are not.
"""

from __future__ import annotations

import math
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import AutoConfig, Qwen3VLForConditionalGeneration

from vqc.geometry import NORM

NUMBER_STD = 0.02
"""Standard deviation of the number embeddings: that of all other embeddings."""
POSITION_STD = 0.2
"""Standard deviation of the patch position table: about half that of a photo's patch embeddings."""


def sinusoids(count: int, width: int, *, longest: float, shortest: float) -> torch.Tensor:
    """table_CW with unit variance: sine and cosine of ``width`` / 2 waves with geometrically spaced wavelengths."""
    waves = torch.logspace(math.log10(longest), math.log10(shortest), width // 2, dtype=torch.float64)
    phase = 2 * math.pi * torch.arange(count, dtype=torch.float64)[:, None] / waves
    return (math.sqrt(2) * torch.cat([phase.sin(), phase.cos()], 1)).float()


def write_weights(directory: Path, *, seed: int, device: str = "cpu") -> None:
    """Writes ``model.safetensors`` in bfloat16 for the ``config.json`` of ``directory``; seed and device determine it."""
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
