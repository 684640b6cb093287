"""Pure functions on pixels: RGB Pillow image in, RGB Pillow image out. Geometry first, colours below.

Empty canvas is grey 128, which the image processor normalises to about 0.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageOps

from trainer.geometry import Affine, on_pixel_indices, scaling
from vqc.geometry import SizeWH

cv2.setNumThreads(1)  # samples are made in parallel by loader processes, not inside one

FILL = (128, 128, 128)
_COARSE = 0.75
"""Scale below which a warp first shrinks by area averaging, so that fine texture does not alias."""

Pixels = NDArray[np.uint8]


def warp(image: Image.Image, matrix: Affine, size_wh: SizeWH) -> Image.Image:
    """The image under an affine map (edge convention) on a canvas of ``size_wh`` px, bicubic."""
    scale = math.sqrt(abs(float(np.linalg.det(matrix[:2, :2]))))
    if scale < _COARSE:
        small = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        matrix = matrix @ scaling(image.width / small[0], image.height / small[1])
        image = resize(image, small)
    warped = cv2.warpAffine(
        np.asarray(image),
        on_pixel_indices(matrix)[:2],
        size_wh,
        flags=cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=FILL,
    )
    return Image.fromarray(warped)


def resize(image: Image.Image, size_wh: SizeWH) -> Image.Image:
    """The image at another size: area averaging where it shrinks, bicubic where it grows."""
    shrinks = size_wh[0] * size_wh[1] < image.width * image.height
    method = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return Image.fromarray(np.asarray(cv2.resize(np.asarray(image), size_wh, interpolation=method)))


def pad(image: Image.Image, size_wh: SizeWH) -> Image.Image:
    """The image in the top-left corner of a grey canvas."""
    canvas = Image.new("RGB", size_wh, FILL)
    canvas.paste(image, (0, 0))
    return canvas


def crop(image: Image.Image, window: tuple[int, int, int, int]) -> Image.Image:
    """The window x1, y1, x2, y2 (px) of the image."""
    return image.crop(window)


def jitter(image: Image.Image, brightness: float, contrast: float, saturation: float) -> Image.Image:
    """Brightness, contrast and saturation, each multiplied by its factor, in this order."""
    image = ImageEnhance.Brightness(image).enhance(brightness)
    image = ImageEnhance.Contrast(image).enhance(contrast)
    return ImageEnhance.Color(image).enhance(saturation)


def correct_gamma(image: Image.Image, gamma: float, gain: float) -> Image.Image:
    """gain · value^gamma on values of 0..1."""
    table = [min(max(round(255 * gain * (value / 255) ** gamma), 0), 255) for value in range(256)]
    return image.point(table * 3)


def shift_hsv(image: Image.Image, hue_deg: float, saturation: float, value: float) -> Image.Image:
    """Hue shifted by degrees; saturation and value multiplied."""
    hsv = cv2.cvtColor(np.asarray(image, dtype=np.float32) / 255, cv2.COLOR_RGB2HSV)
    hsv[..., 0] = (hsv[..., 0] + hue_deg) % 360
    hsv[..., 1] = np.clip(hsv[..., 1] * saturation, 0, 1)
    hsv[..., 2] = np.clip(hsv[..., 2] * value, 0, 1)
    rgb = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
    return Image.fromarray(np.rint(rgb * 255).clip(0, 255).astype(np.uint8))


def equalise(image: Image.Image, clip_limit: float, tiles: tuple[int, int]) -> Image.Image:
    """Contrast-limited adaptive histogram equalisation of the lightness (CLAHE)."""
    lab = cv2.cvtColor(np.asarray(image), cv2.COLOR_RGB2LAB)
    lab[..., 0] = cv2.createCLAHE(clipLimit=clip_limit, tileGridSize=tiles).apply(lab[..., 0])
    return Image.fromarray(np.asarray(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)))


def stretch_contrast(image: Image.Image, cutoff: float) -> Image.Image:
    """Each channel stretched to 0..255; ``cutoff`` percent of the pixels are ignored at each end."""
    return ImageOps.autocontrast(image, cutoff)


def solarize(image: Image.Image, threshold: int) -> Image.Image:
    """Values at or above the threshold inverted."""
    return ImageOps.solarize(image, threshold)


def posterize(image: Image.Image, bits: int) -> Image.Image:
    """Only the highest ``bits`` bits of each channel."""
    return ImageOps.posterize(image, bits)


def sharpen(image: Image.Image, factor: float) -> Image.Image:
    """Blurred below 1, sharpened above."""
    return ImageEnhance.Sharpness(image).enhance(factor)
