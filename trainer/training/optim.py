"""The optimizer and its groups: each tower with its own rate, biases and norms without weight decay."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import torch

from trainer.model.towers import Tower, plain_name, tower_of
from trainer.training.muon import MuonWithAdamW, is_hidden_matrix

if TYPE_CHECKING:
    from trainer.config import TrainingSection

_WITHOUT_DECAY = re.compile(r"(?:^|[._])(?:bias|norm\d*|layernorm|rmsnorm|[qk]_norm|lora_magnitude_vector)(?:\.|$)")


def peak_rate(tower: Tower, training: TrainingSection) -> float:
    """A tower's peak learning rate."""
    own = {Tower.VIT: training.vit_lr, Tower.ALIGNER: training.aligner_lr}.get(tower)
    return own if own is not None and training.optimizer_name == "multimodal" else training.learning_rate


def decays(name: str) -> bool:
    """Whether weight decay applies to a parameter.

    >>> decays("model.visual.merger.linear_fc1.weight"), decays("model.visual.blocks.0.norm1.weight")
    (True, False)
    >>> decays("model.visual.blocks.0.attn.qkv.bias"), decays("model.language_model.layers.0.self_attn.q_norm.weight")
    (False, False)
    """
    return not _WITHOUT_DECAY.search(plain_name(name))


def groups(parameters: Iterable[tuple[str, torch.nn.Parameter]], training: TrainingSection) -> list[dict[str, Any]]:
    """Optimizer groups of the trainable parameters, with a ``name`` such as ``vit`` or ``vit/no_decay``; no empty ones."""
    found: dict[tuple[Tower, bool], list[torch.nn.Parameter]] = {}
    for name, parameter in parameters:
        if parameter.requires_grad:
            found.setdefault((tower_of(name), decays(name)), []).append(parameter)
    return [
        {
            "name": tower.value if decay else f"{tower.value}/no_decay",
            "params": found[tower, decay],
            "lr": peak_rate(tower, training),
            "weight_decay": training.weight_decay if decay else 0.0,
        }
        for tower in Tower
        for decay in (True, False)
        if (tower, decay) in found
    ]


def optimizer(parameters: Iterable[tuple[str, torch.nn.Parameter]], training: TrainingSection) -> torch.optim.Optimizer:
    """AdamW over ``groups``, fused on CUDA; with ``muon``, Muon for the hidden matrices and AdamW for the rest."""
    named = [(name, parameter) for name, parameter in parameters if parameter.requires_grad]
    options: dict[str, Any] = {
        "lr": training.learning_rate,
        "betas": (training.adam_beta1, training.adam_beta2),
        "eps": training.adam_epsilon,
        "fused": all(parameter.is_cuda for _, parameter in named),
    }
    if training.optimizer_name != "muon":
        return torch.optim.AdamW(groups(named, training), **options)
    matrices = [item for item in named if is_hidden_matrix(*item)]
    others = [item for item in named if not is_hidden_matrix(*item)]
    return MuonWithAdamW(groups(matrices, training), groups(others, training), **options)
