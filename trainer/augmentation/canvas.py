"""The canvas that geometric operations change: its size, its labels and the pixel steps that are still to run."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import shapely

from trainer.augmentation import pixels
from trainer.augmentation.labels import Label, cut_labels, move_labels
from trainer.augmentation.plan import PixelStep
from trainer.config.augmentation import CropOp, ExpandOp, PadOp, ResizeOp
from trainer.geometry import Affine, Window, identity, move_points, photo_window, polygon_area, scaling, translation
from vqc.geometry import Kind, Point, SizeWH, rectangle_corners

BarrierOp = ExpandOp | PadOp | ResizeOp | CropOp

_ROUNDING = 1e-6
"""Tolerance in px: a computed size that exceeds a whole number by less does not need another pixel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoCanvas:
    """The state between two operations. ``pending`` is the affine map that is not applied to the pixels yet.

    ``outline`` holds the corners of the area that shows the photo (px, before ``pending``): convex, within the canvas.
    """

    size_wh: SizeWH
    labels: tuple[Label, ...]
    outline: tuple[Point, ...]
    pending: Affine
    steps: tuple[PixelStep, ...] = ()

    @property
    def padding_ratio(self) -> float:
        """Share of the canvas that shows no photo, 0..1."""
        photo = polygon_area(self.outline) if self.outline else 0.0
        return min(max(1 - photo / (self.size_wh[0] * self.size_wh[1]), 0.0), 1.0)


def new_canvas(size_wh: SizeWH, labels: tuple[Label, ...]) -> PhotoCanvas:
    """The canvas of an untouched photo."""
    return PhotoCanvas(
        size_wh=size_wh, labels=labels, outline=rectangle_corners(photo_window(size_wh)), pending=identity()
    )


def apply_pending(canvas: PhotoCanvas, size_wh: SizeWH | None = None) -> PhotoCanvas:
    """Applies the pending map, on a canvas of ``size_wh`` px; moves the labels and cuts them to the canvas."""
    size_wh = size_wh or canvas.size_wh
    still = np.allclose(canvas.pending, identity(), atol=1e-12)
    if still and size_wh == canvas.size_wh:
        return canvas
    step = partial(pixels.warp, matrix=canvas.pending, size_wh=size_wh)
    return replace(
        canvas,
        size_wh=size_wh,
        labels=cut_labels(move_labels(canvas.labels, canvas.pending), photo_window(size_wh)),
        outline=_clip_outline(move_points(canvas.outline, canvas.pending), photo_window(size_wh)),
        pending=identity(),
        steps=(*canvas.steps, step),
    )


def apply_barrier(canvas: PhotoCanvas, op: BarrierOp, rng: random.Random) -> tuple[PhotoCanvas, str | None]:
    """(canvas after the barrier, None), or (canvas with its pending map applied, why the barrier was skipped)."""
    match op:
        # Expanding takes the map still pending: applied first, it would cut off what the new canvas is to hold.
        case ExpandOp():
            return _expand(canvas, op), None
        case PadOp():
            return _pad(apply_pending(canvas), op), None
        case ResizeOp():
            return _resize(apply_pending(canvas), op, rng)
        case CropOp():
            return _crop(apply_pending(canvas), op, rng)


def _expand(canvas: PhotoCanvas, op: ExpandOp) -> PhotoCanvas:
    """Applies the pending map on a canvas that holds all of the result, scaled down to at most ``max_pixels``."""
    corners = move_points(rectangle_corners(photo_window(canvas.size_wh)), canvas.pending)
    left, top = min(x for x, _ in corners), min(y for _, y in corners)
    range_w, range_h = max(x for x, _ in corners) - left, max(y for _, y in corners) - top
    full = (_round_up(range_w, op.params.multiple), _round_up(range_h, op.params.multiple))
    matrix = translation(-left, -top) @ canvas.pending
    if full[0] * full[1] > op.params.max_pixels:
        full = _shrink_to_fit(full, op)
        factor = min(full[0] / range_w, full[1] / range_h)
        matrix = scaling(factor, factor) @ matrix
    return apply_pending(replace(canvas, pending=matrix), full)


def _shrink_to_fit(size_wh: SizeWH, op: ExpandOp) -> SizeWH:
    """The largest multiples with about the same proportions and at most ``max_pixels`` pixels."""
    factor = math.sqrt(op.params.max_pixels / (size_wh[0] * size_wh[1]))
    width, height = (
        max(op.params.multiple, math.floor(side * factor / op.params.multiple) * op.params.multiple) for side in size_wh
    )
    while width * height > op.params.max_pixels and max(width, height) > op.params.multiple:
        if width >= height:
            width -= op.params.multiple
        else:
            height -= op.params.multiple
    return width, height


def _pad(canvas: PhotoCanvas, op: PadOp) -> PhotoCanvas:
    size_wh = (_round_up(canvas.size_wh[0], op.params.multiple), _round_up(canvas.size_wh[1], op.params.multiple))
    if size_wh == canvas.size_wh:
        return canvas
    return replace(canvas, size_wh=size_wh, steps=(*canvas.steps, partial(pixels.pad, size_wh=size_wh)))


def _resize(canvas: PhotoCanvas, op: ResizeOp, rng: random.Random) -> tuple[PhotoCanvas, str | None]:
    chance, amount = rng.random(), rng.random()
    params = op.params
    if chance >= params.prob:
        return canvas, "prob"
    factor = params.lo + amount * (params.hi - params.lo)
    if params.scales:
        factor = params.scales[int(amount * len(params.scales))]
    multiple = params.align_multiple or 1
    width, height = canvas.size_wh
    size_wh = (_round_up(round(width * factor), multiple), _round_up(round(height * factor), multiple))
    if size_wh == canvas.size_wh:
        return canvas, None
    matrix = scaling(size_wh[0] / width, size_wh[1] / height)
    return (
        replace(
            canvas,
            size_wh=size_wh,
            labels=cut_labels(move_labels(canvas.labels, matrix), photo_window(size_wh)),
            outline=_clip_outline(move_points(canvas.outline, matrix), photo_window(size_wh)),
            steps=(*canvas.steps, partial(pixels.resize, size_wh=size_wh)),
        ),
        None,
    )


def _crop(canvas: PhotoCanvas, op: CropOp, rng: random.Random) -> tuple[PhotoCanvas, str | None]:
    chance, draws = rng.random(), tuple(rng.random() for _ in range(4))
    params = op.params
    if chance >= params.prob:
        return canvas, "prob"
    window = _sample_window(canvas.size_wh, op, draws)
    kept = cut_labels(canvas.labels, window, params.min_coverage, params.completeness_threshold)
    if len(kept) < params.min_objects:
        return canvas, "min_objects"
    if params.skip_if_line and any(label.shape.kind is Kind.LINE for label in kept):
        return canvas, "line_object"
    shift = translation(-window[0], -window[1])
    size_wh = (window[2] - window[0], window[3] - window[1])
    return (
        replace(
            canvas,
            size_wh=size_wh,
            labels=move_labels(kept, shift),
            outline=_clip_outline(move_points(canvas.outline, shift), photo_window(size_wh)),
            steps=(*canvas.steps, partial(pixels.crop, window=window)),
        ),
        None,
    )


def _sample_window(size_wh: SizeWH, op: CropOp, draws: tuple[float, ...]) -> tuple[int, int, int, int]:
    """A random window in whole px: its share of the area, its proportions and its place."""
    (low, high), (narrow, wide) = op.params.scale, op.params.aspect
    side = math.sqrt(size_wh[0] * size_wh[1] * (low + draws[0] * (high - low)))
    stretch = math.sqrt((narrow + draws[1] * (wide - narrow)) * size_wh[0] / size_wh[1])
    width = min(max(round(side * stretch), 1), size_wh[0])
    height = min(max(round(side / stretch), 1), size_wh[1])
    left = round(draws[2] * (size_wh[0] - width))
    top = round(draws[3] * (size_wh[1] - height))
    return (left, top, left + width, top + height)


def _clip_outline(outline: tuple[Point, ...], window: Window) -> tuple[Point, ...]:
    """The corners of the part of a convex outline inside the window; empty when there is none."""
    if not outline:
        return ()
    part = shapely.Polygon(outline).intersection(shapely.box(*window))
    if not isinstance(part, shapely.Polygon) or part.is_empty:
        return ()
    return tuple((float(x), float(y)) for x, y in part.exterior.coords[:-1])


def _round_up(side: float, multiple: int) -> int:
    """The side rounded up to a multiple, at least one."""
    return max(1, math.ceil((side - _ROUNDING) / multiple)) * multiple
