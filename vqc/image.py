"""The canonical image: the form in which trainer and service show every photo to the model (law 2).

Canonical means: EXIF orientation applied, alpha flattened on white, 8-bit RGB. The model's processor resizes, once and
equally in training and serving. A photo whose bytes decode to the canonical image already passes through unchanged; any
other is decoded and re-encoded without loss.
"""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from vqc.errors import PhotoReason, PhotoRejected
from vqc.geometry import SizeWH

Image.MAX_IMAGE_PIXELS = None  # Pillow only warns up to twice its limit; ``_open`` checks ours in the header

MEDIA_TYPES: Final = {"JPEG": "image/jpeg", "MPO": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}
"""Accepted formats (Pillow's names) and their media types. Phones write MPO for a JPEG with a second picture."""

POLICY: Final = {
    "orientation": "exif transposed",
    "alpha": "composited on white",
    "mode": "RGB, 8 bit; 16-bit grey keeps its high byte",
    "resize": "by the model's processor only",
}
"""The rules of ``canonical_image``; part of the contract digest, so that changing them changes the contract."""

MAX_ASPECT = 100
MIN_SIDE_PX = 8

_ACCEPTED = "photos are JPEG, PNG or WebP"
_OTHER_FORMATS = {
    b"GIF8": "GIF",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"BM": "BMP",
    b"%PDF": "PDF",
    b"<svg": "SVG",
    b"<?xm": "XML",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoLimits:
    """The largest accepted photo: encoded bytes and decoded pixels."""

    max_bytes: int = 20 * 2**20
    max_pixels: int = 50_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedPhoto:
    """The bytes of a canonical photo. ``digest`` is the SHA-256 (hex) of ``data``."""

    data: bytes
    media_type: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CanonicalPhoto(EncodedPhoto):
    """A checked photo: its bytes decode to the canonical image of ``size_wh``.

    ``passed_through`` means that the bytes are the original ones.
    """

    size_wh: SizeWH
    passed_through: bool

    def decode(self) -> Image.Image:
        """The pixels, RGB."""
        with Image.open(io.BytesIO(self.data)) as image:
            return image.convert("RGB")


def canonical_image(image: Image.Image) -> Image.Image:
    """The canonical RGB image of any Pillow image; the image itself, loaded, if it is canonical already.

    Raises:
        OSError: the pixel data is truncated or broken (from Pillow).
    """
    if _orientation(image) != 1:
        image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):
        image = image.convert("I").point(lambda v: v / 256).convert("L")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    image.load()
    return image if image.mode == "RGB" else image.convert("RGB")


def canonical_photo(data: bytes, limits: PhotoLimits | None = None) -> CanonicalPhoto:
    """The canonical form of an encoded photo.

    Costs a header read if the photo is canonical already, otherwise a decode and a lossless encode (PNG).

    Raises:
        PhotoRejected: not a readable photo, or over ``limits``; never any other error.
    """
    limits = limits or PhotoLimits()
    return passthrough_photo(data, limits) or _convert(_open(data, limits), data)


def passthrough_photo(data: bytes, limits: PhotoLimits) -> CanonicalPhoto | None:
    """The photo if it is canonical already, at the cost of a header read and a digest; None if it must be converted.

    Raises:
        PhotoRejected: as ``canonical_photo``, except for errors that only decoding reveals.
    """
    image = _open(data, limits)
    media_type = MEDIA_TYPES[str(image.format)]
    _check_complete(data, media_type)
    if image.mode != "RGB" or image.has_transparency_data or _orientation(image) != 1:
        return None
    return CanonicalPhoto(
        data=data, media_type=media_type, size_wh=image.size, digest=sha256(data).hexdigest(), passed_through=True
    )


def _convert(image: Image.Image, data: bytes) -> CanonicalPhoto:
    try:
        pixels = canonical_image(image)
    except (OSError, SyntaxError, ValueError, zlib.error, struct.error, EOFError) as error:
        raise PhotoRejected(
            PhotoReason.TRUNCATED, _byte_count(data), f"its pixels must be readable: {error}"
        ) from error
    encoded = io.BytesIO()
    pixels.save(encoded, "PNG", compress_level=1)
    written = encoded.getvalue()
    return CanonicalPhoto(
        data=written,
        media_type="image/png",
        size_wh=pixels.size,
        digest=sha256(written).hexdigest(),
        passed_through=False,
    )


def _open(data: bytes, limits: PhotoLimits) -> Image.Image:
    """The image with its header read and checked; pixels are not decoded yet."""
    if not data:
        raise PhotoRejected(PhotoReason.EMPTY, "0 bytes", _ACCEPTED)
    if len(data) > limits.max_bytes:
        raise PhotoRejected(
            PhotoReason.TOO_MANY_BYTES, _byte_count(data), f"at most {limits.max_bytes:,} bytes are read"
        )
    try:
        image = Image.open(io.BytesIO(data), formats=("JPEG", "PNG", "WEBP"))
    except UnidentifiedImageError as error:
        raise _unidentified_error(data) from error
    except (OSError, SyntaxError, ValueError, struct.error, EOFError, IndexError) as error:
        raise PhotoRejected(
            PhotoReason.TRUNCATED, _byte_count(data), f"its header must be readable: {error}"
        ) from error
    width, height = image.size
    found = f"{image.format} of {width} × {height} px"
    if width * height > limits.max_pixels:
        raise PhotoRejected(PhotoReason.TOO_MANY_PIXELS, found, f"at most {limits.max_pixels:,} pixels are read")
    if min(width, height) < MIN_SIDE_PX or max(width, height) > MAX_ASPECT * min(width, height):
        valid = f"both sides must be at least {MIN_SIDE_PX} px, one at most {MAX_ASPECT} times the other"
        raise PhotoRejected(PhotoReason.UNUSABLE_SIZE, found, valid)
    if image.format != "MPO" and getattr(image, "n_frames", 1) > 1:
        raise PhotoRejected(PhotoReason.ANIMATED, found, "a photo has one frame")
    return image


def _unidentified_error(data: bytes) -> PhotoRejected:
    other = "HEIF" if data[4:8] == b"ftyp" else next((v for k, v in _OTHER_FORMATS.items() if data.startswith(k)), None)
    if other:
        return PhotoRejected(PhotoReason.UNSUPPORTED_FORMAT, f"{other} of {len(data):,} bytes", _ACCEPTED)
    return PhotoRejected(PhotoReason.NOT_AN_IMAGE, _byte_count(data), _ACCEPTED)


def _orientation(image: Image.Image) -> int:
    return image.getexif().get(ExifTags.Base.Orientation, 1)


def _check_complete(data: bytes, media_type: str) -> None:
    """Raises ``PhotoRejected`` for a truncated file, detected from its structure without decoding."""
    complete = {"image/jpeg": _jpeg_is_complete, "image/png": _png_is_complete, "image/webp": _webp_is_complete}
    if not complete[media_type](data):
        raise PhotoRejected(PhotoReason.TRUNCATED, _byte_count(data), "the file must be complete and intact")


def _jpeg_is_complete(data: bytes) -> bool:
    """Whether the end marker follows the scan."""
    # Walk the segments up to the start of scan, because a segment may contain FF D9 (a thumbnail is a whole JPEG). In the
    # entropy-coded data after it FF is escaped, so FF D9 can only be the end.
    position = 2
    while data[position : position + 1] == b"\xff":
        marker = data[position + 1]
        if marker == 0xFF:  # fill byte
            position += 1
            continue
        length = int.from_bytes(data[position + 2 : position + 4])
        if length < 2:
            return False
        position += 2 + length
        if marker == 0xDA:
            return data.rfind(b"\xff\xd9", position) >= 0
    return False


def _png_is_complete(data: bytes) -> bool:
    """Whether all chunks are present, with valid checksums, up to IEND."""
    position, view = 8, memoryview(data)
    while position + 12 <= len(data):
        length, name = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length
        if end > len(data) or zlib.crc32(view[position + 4 : end - 4]) != int.from_bytes(view[end - 4 : end]):
            return False
        if name == b"IEND":
            return True
        position = end
    return False


def _webp_is_complete(data: bytes) -> bool:
    return int.from_bytes(data[4:8], "little") + 8 <= len(data)


def _byte_count(data: bytes) -> str:
    return f"{len(data):,} bytes"
