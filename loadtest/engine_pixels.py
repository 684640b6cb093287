"""The pixels that vLLM shows to a model, from the bytes it is sent; without vLLM.

``tests/contract/test_engine_pixels.py`` holds this against vLLM's own functions.
"""

from __future__ import annotations

import contextlib
import io

from PIL import Image, ImageOps

_FORMATS = ("AVIF", "JPEG", "PNG", "WEBP")


def engine_pixels(data: bytes) -> Image.Image:
    """The RGB image of a photo's bytes, as vLLM 0.24 to 0.33 load it. Raises whatever Pillow raises."""
    image = Image.open(io.BytesIO(data), formats=_FORMATS)
    with contextlib.suppress(Exception):
        image = ImageOps.exif_transpose(image)
    image.load()
    if image.mode == "RGB":
        return image
    if image.mode != "RGBA":
        return image.convert("RGB")
    white = Image.new("RGB", image.size, "white")
    white.paste(image, mask=image.split()[3])
    return white
