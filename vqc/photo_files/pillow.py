"""Opens photos with Pillow, and reads their headers. Every function raises whatever Pillow and its plugins raise."""

from __future__ import annotations

import io
from functools import cache, lru_cache
from typing import NamedTuple

from PIL import Image

from vqc.geometry import SizeWH
from vqc.photo_files.exif import orientation_of

_CACHED_HEAD_BYTES = 4096


class Head(NamedTuple):
    """What a header says, as Pillow reads it."""

    size_wh: SizeWH
    mode: str
    has_transparency: bool
    frames: int
    orientation: int


def open_image(data: bytes, name: str) -> Image.Image:
    """The image in ``data``, which must be of the format that Pillow calls ``name``. No pixel is decoded yet."""
    if name == "HEIF":
        _register_heif()
    return Image.open(io.BytesIO(data), formats=(name,))


def read_head(head: bytes, name: str, *, decode: bool) -> Head:
    """What a header says; with ``decode`` only if it decodes. Small ones are cached: a camera's photos share theirs."""
    if decode and len(head) <= _CACHED_HEAD_BYTES:
        return _read_decodable(head, name)
    return _read(head, name, decode=decode)


@lru_cache(maxsize=256)
def _read_decodable(head: bytes, name: str) -> Head:
    return _read(head, name, decode=True)


def _read(head: bytes, name: str, *, decode: bool) -> Head:
    with open_image(head, name) as image:
        if decode:
            image.load()
        return Head(
            size_wh=image.size,
            mode=image.mode,
            has_transparency=image.has_transparency_data,
            frames=getattr(image, "n_frames", 1),
            orientation=orientation_of(image.info.get("exif")),
        )


@cache
def _register_heif() -> None:
    from pillow_heif import register_heif_opener  # loads libheif: only for the first such photo

    register_heif_opener()
