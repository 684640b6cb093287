"""The photos that load is made of: drawn scenes, encoded as a phone would."""

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


def stamped(jpeg: bytes, stamp: str) -> bytes:
    """The same picture as a file of its own: a comment segment makes its bytes, and so its digest, another's.

    No cache of the service or the engine takes two stamps for one photo, and drawing one costs nothing.
    """
    comment = stamp.encode("ascii")
    return b"".join([jpeg[:2], b"\xff\xfe", (len(comment) + 2).to_bytes(2, "big"), comment, jpeg[2:]])


def _jpeg(image: Image.Image) -> bytes:
    encoded = io.BytesIO()
    image.save(encoded, "JPEG", quality=JPEG_QUALITY)
    return encoded.getvalue()
