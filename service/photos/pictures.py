"""Pictures of a photo for a page: its thumbnail, and the photo as every browser shows it upright."""

from __future__ import annotations

import io
from dataclasses import dataclass

from PIL import Image

from vqc.image import PhotoLimits, canonical_photo, canonical_pixels, photo_header, thumbnail

THUMBNAIL_PX = 480
"""The longer side of a thumbnail: a page shows it at half of that, screens have two pixels for one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """An encoded picture."""

    data: bytes
    media_type: str


def thumbnail_jpeg(data: bytes, limits: PhotoLimits) -> bytes:
    """The thumbnail of a photo, about 20 kB. Raises ``PhotoRejected``."""
    return _jpeg(thumbnail(data, THUMBNAIL_PX, limits), 80)


def upright_jpeg(data: bytes, limits: PhotoLimits) -> bytes:
    """The whole photo, upright, for people. Raises ``PhotoRejected``."""
    return _jpeg(canonical_pixels(data, limits), 90)


def browser_picture(data: bytes, limits: PhotoLimits) -> Picture | None:
    """The bytes that the engine gets, if browsers show them upright; None if they need an ``upright_jpeg``.

    No browser but Safari shows HEIC, and Chromium ignores the orientation of WebP. Raises ``PhotoRejected``.
    """
    header = photo_header(data, limits)
    if header.file.format == "HEIF" or (header.file.format == "WEBP" and header.orientation != 1):
        return None
    photo = canonical_photo(data, limits)
    return Picture(data=photo.data, media_type=photo.media_type)


def _jpeg(image: Image.Image, quality: int) -> bytes:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality)
    return out.getvalue()
