"""The photos of the load: drawn scenes, JPEG-encoded as a phone does."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from vqc.geometry import SizeWH

if TYPE_CHECKING:
    from PIL import Image

JPEG_QUALITY = 88
"""Gives 100 to 150 KB at 1024x768."""


def jpeg_photos(count: int, size_wh: SizeWH) -> list[bytes]:
    """``count`` distinct JPEG photos, the same ones every time. Raises ``InvalidValue`` for a size below 256x192."""
    from scenes.scene import draw_scene

    return [_jpeg(draw_scene(seed, size_wh=size_wh).image) for seed in range(count)]


def stamp_photo(jpeg: bytes, stamp: str) -> bytes:
    """The photo with a JPEG comment segment: the same pixels, but other bytes and so another digest.

    Caches of the service and the engine see a new photo, without the cost of drawing one.
    """
    comment = stamp.encode("ascii")
    return b"".join([jpeg[:2], b"\xff\xfe", (len(comment) + 2).to_bytes(2, "big"), comment, jpeg[2:]])


def _jpeg(image: Image.Image) -> bytes:
    encoded = io.BytesIO()
    image.save(encoded, "JPEG", quality=JPEG_QUALITY)
    return encoded.getvalue()
