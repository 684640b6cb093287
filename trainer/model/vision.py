"""Encodes photos for the language model in two parts: the vision encoder's trunk, and the aligner on top of it.

A frozen trunk has the same output for teacher and student, so it runs once for both.

Axes: N patches, M image tokens (N / merge_size²), D width.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True, slots=True, kw_only=True)
class Trunk:
    """The input of the mergers: the states_ND of the last block, and of the blocks that deepstack reads."""

    last_ND: torch.Tensor
    layers: tuple[torch.Tensor, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class VisionFeatures:
    """The output of the mergers: merged_MD, and deepstack's features_MD of each layer."""

    merged_MD: torch.Tensor
    deepstack: tuple[torch.Tensor, ...]


def encode_photos(model: Any, pixels: torch.Tensor, inputs: dict[str, Any]) -> tuple[VisionFeatures, Trunk]:
    """Runs the photos of a collated batch through transformers' Qwen3VLModel; returns the features and the trunk's states."""
    with _record_merger_inputs(model.visual) as states:
        found = model.get_image_features(
            pixels,
            inputs["image_grid_thw"],
            position_ids=inputs["vision_positions"],
            interp_indices=inputs["vision_taps"],
            interp_weights=inputs["vision_weights"],
            cu_seqlens=inputs["vision_cu_seqlens"],
            max_seqlen=inputs["vision_max_seqlen"],
            return_dict=True,
        )
    features = VisionFeatures(
        merged_MD=torch.cat(found.pooler_output),
        deepstack=tuple(torch.cat(features_MD) for features_MD in found.deepstack_features),
    )
    return features, Trunk(last_ND=states[-1], layers=tuple(states[:-1]))


def align_trunk(visual: Any, trunk: Trunk) -> VisionFeatures:
    """Runs a trunk's states through the mergers of this vision tower."""
    mergers = zip(visual.deepstack_merger_list, trunk.layers, strict=True)
    return VisionFeatures(
        merged_MD=visual.merger(trunk.last_ND), deepstack=tuple(merger(states_ND) for merger, states_ND in mergers)
    )


@contextmanager
def _record_merger_inputs(visual: Any) -> Iterator[list[torch.Tensor]]:
    """Records the inputs of the mergers inside the block: deepstack's in layer order, then the final merger's."""
    states: list[torch.Tensor] = []
    hooks = [
        merger.register_forward_pre_hook(lambda _, given: states.append(given[0]))
        for merger in (*visual.deepstack_merger_list, visual.merger)
    ]
    try:
        yield states
    finally:
        for hook in hooks:
            hook.remove()
