"""Floating-point operations of a training step, from the model's shapes and its batches; recomputation does not count.

A multiply and an add are two operations. The matrix product of a linear layer counts once for the forward pass, once for
the gradient of its input if gradients flow further down, and once for that of its weight if it is trained. Attention
counts scores and values, half of them in the causal language model, and twice that for the backward pass.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn

from trainer.model.towers import Tower, plain_name, tower_of
from trainer.model.tuners import HEAD, is_adapter


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """The contents of batches: counts, and sums of squares over samples' tokens and photos' patches."""

    samples: int = 0
    tokens: int = 0
    supervised: int = 0
    patches: int = 0
    tokens_squared: int = 0
    patches_squared: int = 0

    def __add__(self, other: Work) -> Work:
        return Work(**{name: getattr(self, name) + getattr(other, name) for name in self.__slots__})


def training_flops(model: Any, work: Work) -> float:
    """Operations of the forward and backward pass over this work, without a teacher's pass."""
    inner = model.get_base_model() if is_adapter(model) else model
    names = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    trained = {tower_of(name) for name in names}
    flows = {Tower.LLM: bool(trained), Tower.ALIGNER: bool(trained - {Tower.LLM}), Tower.VIT: Tower.VIT in trained}
    merge = inner.config.vision_config.spatial_merge_size**2
    rows = {Tower.LLM: work.tokens, Tower.ALIGNER: work.patches / merge, Tower.VIT: work.patches}
    total = 0.0
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear | nn.Conv3d):
            tower = tower_of(name)
            count = work.supervised if plain_name(name) == HEAD else rows[tower]
            passes = 1 + (flows[tower] and not _first(name, names)) + module.weight.requires_grad
            total += 2 * module.weight.numel() * count * passes
    text, vision = inner.config.text_config, inner.config.vision_config
    causal = 2 * text.num_hidden_layers * text.num_attention_heads * text.head_dim * work.tokens_squared
    whole = 4 * vision.depth * vision.hidden_size * work.patches_squared
    return total + causal * (3 if flows[Tower.LLM] else 1) + whole * (3 if flows[Tower.VIT] else 1)


def _first(name: str, trained: set[str]) -> bool:
    """Whether nothing below a layer's input is trained: the patch embedding, and the aligner over frozen norm and encoder."""
    if "patch_embed" in name:
        return True
    under = any(tower_of(n) is Tower.VIT or (tower_of(n) is Tower.ALIGNER and ".norm." in n) for n in trained)
    return not under and ".linear_fc1" in name and "lora_B" not in name and tower_of(name) is Tower.ALIGNER
