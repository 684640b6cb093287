"""A photo as the model's patches in 8-bit levels: an eighth of the size of the processor's floats, without any loss.

The checkpoint's image processor makes float patches, with each pixel twice (two equal frames). Every float is one of 256
values per channel, so the loader sends the levels and the device looks up the floats (``table_CV``). A test checks that
the result equals the processor's, bit for bit.

Axes: N patches, C channels, P = patch_size², T = temporal_patch_size.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize

from vqc.geometry import SizeWH

GridTHW = tuple[int, int, int]
"""Patches of one photo: (1, rows, columns)."""


class PixelSource:
    """Patches of photos by the rules of one image processor (size limits, patch and merge size).

    ``processor`` is the checkpoint's own (``AutoImageProcessor``), with either backend.
    """

    def __init__(self, processor: Any) -> None:
        self._processor = processor
        self.patch_size: int = processor.patch_size
        self.merge_size: int = processor.merge_size
        self.temporal_patch_size: int = processor.temporal_patch_size
        self._min_pixels: int = processor.size["shortest_edge"]
        self._max_pixels: int = processor.size["longest_edge"]
        self.table_CV = self._pixel_table()

    def resized_wh(self, size_wh: SizeWH) -> SizeWH:
        """The size in px to which the processor resizes a photo of ``size_wh`` px."""
        width, height = size_wh
        rows, columns = smart_resize(
            height,
            width,
            factor=self.patch_size * self.merge_size,
            min_pixels=self._min_pixels,
            max_pixels=self._max_pixels,
        )
        return columns, rows

    def grid(self, size_wh: SizeWH) -> GridTHW:
        """The patch grid of a photo of ``size_wh`` px, without its pixels."""
        width, height = self.resized_wh(size_wh)
        return 1, height // self.patch_size, width // self.patch_size

    def tokens(self, size_wh: SizeWH) -> int:
        """Number of placeholders of a photo of ``size_wh`` px: patches / merge_size²."""
        _, rows, columns = self.grid(size_wh)
        return rows * columns // self.merge_size**2

    def levels(self, image: Image.Image) -> tuple[np.ndarray, GridTHW]:
        """uint8 levels_N(CP) of a canonical RGB photo in the processor's patch order, and its grid."""
        grid = self.grid(image.size)
        if self.resized_wh(image.size) == image.size:
            return self._patches(np.stack([np.asarray(band) for band in image.split()])), grid
        # Only the processor's own resizing gives its exact pixels; the levels are then recovered from its floats.
        values = self._processor(images=[image], return_tensors="np")["pixel_values"]
        values_NCTP = values.reshape(len(values), 3, self.temporal_patch_size, -1)
        low, high = self.table_CV[:, :1, None], self.table_CV[:, -1:, None]
        values_CNP = values_NCTP[:, :, 0].transpose(1, 0, 2)
        levels_CNP = np.rint((values_CNP - low) * (255 / (high - low))).astype(np.uint8)
        return np.ascontiguousarray(levels_CNP.transpose(1, 0, 2)).reshape(len(values), -1), grid

    def picture(self, levels_NX: np.ndarray, grid: GridTHW) -> Image.Image:
        """The RGB photo as the model sees it, resized, from its uint8 levels_N(CP): the inverse of ``levels``."""
        patch, merge = self.patch_size, self.merge_size
        _, rows, columns = grid
        blocks = levels_NX.reshape(rows // merge, columns // merge, merge, merge, 3, patch, patch)
        pixels_HWC = blocks.transpose(0, 2, 5, 1, 3, 6, 4).reshape(rows * patch, columns * patch, 3)
        return Image.fromarray(np.ascontiguousarray(pixels_HWC))

    def _patches(self, planes_CHW: np.ndarray) -> np.ndarray:
        """levels_N(CP) of the photo in blocks of merge_size² patches, the order that the vision tower's merger needs.

        Each pixel row of a patch is moved as one item, which is ten times as fast as moving single pixels.
        """
        patch, merge = self.patch_size, self.merge_size
        channels, height, width = planes_CHW.shape
        blocks = planes_CHW.view(f"V{patch}").reshape(
            channels, height // (patch * merge), merge, patch, width // (patch * merge), merge
        )
        ordered = np.ascontiguousarray(blocks.transpose(1, 4, 2, 5, 0, 3))
        return ordered.view(np.uint8).reshape(-1, channels * patch * patch)

    def _pixel_table(self) -> np.ndarray:
        """float32 table_CV: the processor's value for level V in channel C, measured with the processor itself."""
        # The smallest picture whose sides the processor accepts and that contains all 256 levels.
        side = -(-16 // (self.patch_size * self.merge_size)) * self.patch_size * self.merge_size
        ramp = np.resize(np.arange(256, dtype=np.uint8), (side, side))
        values = self._processor(
            images=[Image.merge("RGB", [Image.fromarray(ramp)] * 3)], do_resize=False, return_tensors="np"
        )["pixel_values"]
        values_NCP = values.reshape(len(values), 3, self.temporal_patch_size, -1)[:, :, 0]
        levels_NCP = self._patches(np.stack([ramp] * 3)).reshape(values_NCP.shape)
        table = np.empty((3, 256), np.float32)
        for channel in range(3):
            table[channel, levels_NCP[:, channel]] = values_NCP[:, channel]
        return table
