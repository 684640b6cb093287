"""Collates samples into one batch of tensors: one packed row without padding, or padded rows.

A packed row holds samples end to end. Attention stays within a sample (``cu_seq_lens_*`` for varlen kernels, text
positions that restart at 0 for transformers' masks) and within a photo (``vision_cu_seqlens``).

Axes: B rows, T tokens, N patches, I photos, S samples, 4 = text position, time, height, width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
import torch

from trainer.model.encode import IGNORED, Encoded
from trainer.model.loss import answer_places
from trainer.model.pixels import GridTHW
from trainer.model.positions import patch_positions, rope_positions

Batch = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """The facts about a model that collation needs. ``position_side`` is the side of its learned vision position grid."""

    image_token: int
    pad_token: int
    merge_size: int
    position_side: int


def pack_samples(samples: Sequence[Encoded], facts: ModelFacts) -> Batch:
    """The samples in one row: input_ids_1T, labels_1T, position_ids_41T, boundaries, and the photos."""
    # The first label of a sample follows the last token of the one before. It is IGNORED (a prompt comes first), so no
    # token is trained on the context of another sample.
    bounds = [0, *accumulate(len(sample) for sample in samples)]
    boundaries = torch.tensor(bounds, dtype=torch.int32)
    longest = max(map(len, samples))
    positions = np.concatenate([_positions(sample, facts) for sample in samples], axis=1)
    ids, labels = (_concatenate(getattr(sample, name) for sample in samples) for name in ("input_ids_T", "labels_T"))
    return {
        "input_ids": ids,
        "labels": labels,
        "position_ids": torch.from_numpy(positions)[:, None],
        **_places(ids, labels, facts),
        "cu_seq_lens_q": boundaries,
        "cu_seq_lens_k": boundaries,
        "max_length_q": longest,
        "max_length_k": longest,
        "num_samples": len(samples),
        "num_tokens": bounds[-1],
        **_photos(samples, facts),
    }


def pad_samples(samples: Sequence[Encoded], facts: ModelFacts) -> Batch:
    """The samples in one row each, padded on the right: input_ids_BT, labels_BT, attention_mask_BT, position_ids_3BT."""
    rows, longest = len(samples), max(map(len, samples))
    ids = torch.full((rows, longest), facts.pad_token)
    labels = torch.full((rows, longest), IGNORED)
    mask = torch.zeros((rows, longest), dtype=torch.long)
    positions = torch.zeros((3, rows, longest), dtype=torch.long)
    for row, sample in enumerate(samples):
        length = len(sample)
        ids[row, :length] = torch.from_numpy(sample.input_ids_T)
        labels[row, :length] = torch.from_numpy(sample.labels_T)
        mask[row, :length] = 1
        # Without row 0, by which transformers would recognise a packed row: here the attention mask marks the padding.
        positions[:, row, :length] = torch.from_numpy(_positions(sample, facts)[1:])
    return {
        "input_ids": ids,
        "labels": labels,
        "attention_mask": mask,
        "position_ids": positions,
        **_places(ids, labels, facts),
        "num_samples": rows,
        "num_tokens": sum(map(len, samples)),
        **_photos(samples, facts),
    }


def _places(ids_BT: torch.Tensor, labels_BT: torch.Tensor, facts: ModelFacts) -> Batch:
    """Places of image tokens and answers, rows end to end. Computed here: on the device, ``nonzero`` would block the host."""
    return {
        "image_places": (ids_BT == facts.image_token).view(-1).nonzero()[:, 0],
        "answer_places": answer_places(labels_BT),
    }


COUNTS = ("num_samples", "num_tokens")
"""Keys of a batch that hold plain numbers for the logs."""

CARRIED = ("samples", "digests", "on_policy")
"""Keys that are not the model's: samples, their (digest, supervised positions), and whether the student wrote the answers."""


def model_inputs(batch: Batch) -> Batch:
    """The entries of a batch that are inputs of the model."""
    return {key: value for key, value in batch.items() if key not in COUNTS + CARRIED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Collator:
    """Makes a batch of encoded samples: one packed row if ``row``, else padded rows. Skips omitted samples (None).

    ``keeps_samples`` adds the samples, for generated answers; ``identifies`` adds their digests, for the teacher cache.
    """

    facts: ModelFacts
    row: bool
    keeps_samples: bool = False
    identifies: bool = False

    def __call__(self, samples: Sequence[Encoded | None]) -> Batch:
        """The batch.

        Raises:
            ValueError: every sample of the batch was omitted.
        """
        present = [sample for sample in samples if sample is not None]
        if not present:
            raise ValueError("every sample of a batch is longer than global_max_length; increase it")
        batch = pack_samples(present, self.facts) if self.row else pad_samples(present, self.facts)
        if self.keeps_samples:
            batch["samples"] = present
        if self.identifies:
            batch["digests"] = [(sample.digest(), sample.positions) for sample in present]
        return batch


def _photos(samples: Sequence[Encoded], facts: ModelFacts) -> Batch:
    """pixel_levels_N(CP) uint8, image_grid_thw_I3 and the vision tower's positions; empty without photos."""
    # All photos of the batch run through the tower as one sequence; ``vision_cu_seqlens`` separates them.
    grids: list[GridTHW] = [grid for sample in samples for grid in sample.grids]
    if not grids:
        return {}
    parts = [patch_positions(grid, side=facts.position_side, merge=facts.merge_size) for grid in grids]
    sizes = [rows * columns for _, rows, columns in grids]
    return {
        "pixel_levels": torch.from_numpy(np.concatenate([sample.levels for sample in samples])),
        "image_grid_thw": torch.tensor(grids),
        "vision_positions": torch.cat([part[0] for part in parts]),
        "vision_taps": torch.cat([part[1] for part in parts]),
        "vision_weights": torch.cat([part[2] for part in parts]),
        "vision_cu_seqlens": torch.tensor([0, *accumulate(sizes)], dtype=torch.int32),
        "vision_max_seqlen": max(sizes),
    }


def _positions(sample: Encoded, facts: ModelFacts) -> np.ndarray:
    return rope_positions(sample.input_ids_T, sample.grids, facts.image_token, facts.merge_size)


def _concatenate(parts: Any) -> torch.Tensor:
    return torch.from_numpy(np.concatenate(list(parts)).astype(np.int64))[None]
