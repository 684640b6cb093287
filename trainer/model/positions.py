"""Positions of tokens and patches: M-RoPE of the text model, positions and resampling of the vision tower.

The loading processes compute them, so that the training process launches no kernels per photo. A test checks that they
equal what transformers computes inside the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from trainer.model.pixels import GridTHW

if TYPE_CHECKING:
    import torch


def rope_positions(input_ids_T: np.ndarray, grids: Sequence[GridTHW], image_token: int, merge: int) -> np.ndarray:
    """int64 positions_4T of one sample: row 0 counts text positions from 0; rows 1 to 3 are time, height and width.

    Row 0 restarts at 0 in every sample, by which transformers recognises packed rows.

    Raises:
        ValueError: placeholders and grids do not match.
    """
    length = len(input_ids_T)
    positions = np.empty((4, length), np.int64)
    positions[0] = np.arange(length)
    is_image = input_ids_T == image_token
    expected = sum(rows * columns for _, rows, columns in grids) // merge**2
    if is_image.sum() != expected:
        raise ValueError(f"{int(is_image.sum())} image placeholders in the text, but the photos make {expected}")
    starts = iter(np.flatnonzero(is_image))
    cursor = position = 0
    for _, rows, columns in grids:
        rows, columns = rows // merge, columns // merge
        start = next(starts)
        # Text has the same position on all three axes. A photo has one time; its heights and widths count from there. The
        # text after it continues behind the larger of the two, so that it never shares a position with the photo.
        positions[1:, cursor:start] = np.arange(position, position + start - cursor)
        position += start - cursor
        end = start + rows * columns
        positions[1, start:end] = position
        positions[2, start:end] = position + np.repeat(np.arange(rows), columns)
        positions[3, start:end] = position + np.tile(np.arange(columns), rows)
        position += max(rows, columns)
        cursor = end
        for _ in range(rows * columns - 1):  # skip the photo's own placeholders; two photos may be adjacent
            next(starts)
    positions[1:, cursor:] = np.arange(position, position + length - cursor)
    return positions


@lru_cache(maxsize=256)
def patch_positions(grid: GridTHW, *, side: int, merge: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(positions_N2, taps_N4, weights_N4) of one photo's patches.

    ``positions`` are (row, column) for the rotary embedding; ``taps`` and ``weights`` resample the learned grid of
    ``side`` x ``side`` position embeddings.
    """
    import torch
    from transformers.vision_utils import get_vision_interpolation_indices_and_weights, get_vision_position_ids

    grid_I3 = torch.tensor([grid])
    taps, weights = get_vision_interpolation_indices_and_weights(
        grid_I3, num_grid_per_side=side, mode="bilinear", align_corners=True, spatial_merge_size=merge
    )
    return get_vision_position_ids(grid_I3, merge), taps, weights
