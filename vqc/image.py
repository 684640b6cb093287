"""The canonical image: the form in which trainer and service show every photo to the model (law 2).

Canonical means: upright, alpha flattened on white, 8-bit RGB. The model's processor resizes, once and equally in training
and serving. This is the only reader of photos: for any bytes it returns a photo or raises ``PhotoRejected``.
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from PIL import ExifTags, Image, ImageOps

from vqc.errors import PhotoReason, PhotoRejected
from vqc.geometry import SizeWH
from vqc.photo_files import FORMATS, BrokenFile, PhotoFile
from vqc.photo_files.pillow import open_image, read_head

Image.MAX_IMAGE_PIXELS = None  # Pillow only warns up to twice its limit; ``photo_header`` checks ours before decoding
warnings.filterwarnings(
    "ignore", category=UserWarning, module=r"PIL\."
)  # its remarks about metadata of strangers' photos

POLICY: Final = {
    "orientation": "exif transposed",
    "alpha": "composited on white",
    "mode": "RGB, 8 bit; 16-bit grey keeps its high byte",
    "resize": "by the model's processor only",
}
"""The rules of ``canonical_image``; part of the contract digest, so that changing them changes the contract."""

MAX_ASPECT = 100
MIN_SIDE_PX = 8
MAX_WEBP_SIDE_PX = 16_383
ACCEPTED = "photos are JPEG, PNG, WebP, AVIF, HEIC or HEIF"
SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".webp", ".avif", ".heic", ".heif"})
"""Lower-case suffixes of photo files; their contents decide the format."""

_OTHER_FORMATS = {
    b"GIF8": "GIF",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"BM": "BMP",
    b"%PDF": "PDF",
    b"<svg": "SVG",
    b"<?xm": "XML",
}
_ENGINE_FORMATS = {"JPEG", "PNG", "WEBP", "AVIF"}
_ENGINE_MODES = {"1", "L", "P", "RGB", "RGBA", "CMYK"}
"""Pillow modes that vLLM converts to RGB exactly as ``canonical_image`` does (``tests/contract/test_engine_pixels.py``)."""
_SIDES_SWAPPED = {5, 6, 7, 8}
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoLimits:
    """The largest accepted photo: encoded bytes and decoded pixels."""

    max_bytes: int = 20 * 2**20
    max_pixels: int = 50_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedPhoto:
    """The bytes of a photo. ``digest`` is the SHA-256 (hex) of ``data``."""

    data: bytes
    media_type: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CanonicalPhoto(EncodedPhoto):
    """A checked photo: the engine sees its bytes as the canonical image of ``size_wh``.

    ``passed_through`` means that the bytes are the original ones.
    """

    size_wh: SizeWH
    passed_through: bool

    def decode(self) -> Image.Image:
        """The canonical pixels, RGB, upright."""
        return canonical_pixels(self.data, PhotoLimits(max_bytes=len(self.data)))


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoHeader:
    """What a photo's header says. ``size_wh`` is upright, in px; ``mode`` is Pillow's."""

    file: PhotoFile
    size_wh: SizeWH
    stored_wh: SizeWH
    mode: str
    orientation: int
    has_transparency: bool


def photo_header(data: bytes, limits: PhotoLimits | None = None) -> PhotoHeader:
    """The checked header of an encoded photo. For a JPEG the start of the file, up to its pixels, is enough.

    Raises:
        PhotoRejected: no photo of an accepted format, size or number of frames.
    """
    limits = limits or PhotoLimits()
    file = _file_of(data, limits)
    try:
        size_wh = file.size_wh
        if size_wh is not None:
            _check_size(file.format, size_wh, limits)  # before a library allocates memory for it
        found = read_head(file.head(), file.format, decode=not file.needs_decoding)
        stored_wh = size_wh or found.size_wh
        _check_size(file.format, stored_wh, limits)
        if found.frames > 1 and file.format not in ("JPEG", "HEIF"):
            raise PhotoRejected(PhotoReason.ANIMATED, _byte_count(data), "a photo has one frame")
        orientation = file.orientation or found.orientation
        return PhotoHeader(
            file=file,
            size_wh=(stored_wh[1], stored_wh[0]) if orientation in _SIDES_SWAPPED else stored_wh,
            stored_wh=stored_wh,
            mode=found.mode,
            orientation=orientation,
            has_transparency=found.has_transparency,
        )
    except PhotoRejected:
        raise
    except Exception as error:  # Pillow and its plugins raise anything for broken bytes
        raise _broken_error(data, error) from error


def original_photo(data: bytes, limits: PhotoLimits | None = None) -> EncodedPhoto:
    """The photo as it came, checked as far as is possible without computing a pixel.

    Raises:
        PhotoRejected: as ``canonical_photo``, except for errors in pixels that only decoding reveals.
    """
    file = _checked_header(data, limits or PhotoLimits()).file
    return EncodedPhoto(data=data, media_type=file.media_type, digest=sha256(data).hexdigest())


def canonical_pixels(data: bytes, limits: PhotoLimits | None = None) -> Image.Image:
    """The canonical RGB image of an encoded photo: what the engine sees in its ``canonical_photo``.

    Raises:
        PhotoRejected: not a readable photo, or over ``limits``; never any other error.
    """
    return _pixels(_checked_header(data, limits or PhotoLimits()))


def canonical_photo(data: bytes, limits: PhotoLimits | None = None) -> CanonicalPhoto:
    """The canonical form of an encoded photo, which the engine can read.

    A photo that the engine shows as the canonical image passes through unchanged. If only its metadata keep it from that,
    it loses them. Any other is encoded again without loss.

    Raises:
        PhotoRejected: not a readable photo, or over ``limits``; never any other error.
    """
    header = _checked_header(data, limits or PhotoLimits())
    pixels = _pixels(header) if header.file.needs_decoding else None
    if _passes(header):
        return _sent_as_it_is(header)
    return _encode(pixels or _pixels(header), header)


def passthrough_photo(data: bytes, limits: PhotoLimits) -> CanonicalPhoto | None:
    """The canonical photo if no pixel has to be decoded for it; None otherwise. Raises as ``canonical_photo`` does."""
    header = _checked_header(data, limits)
    return None if header.file.needs_decoding or not _passes(header) else _sent_as_it_is(header)


def thumbnail(data: bytes, side_px: int, limits: PhotoLimits | None = None) -> Image.Image:
    """A small upright RGB copy for people, ``side_px`` on its longer side at most; a JPEG is decoded at a fraction of its size.

    Raises:
        PhotoRejected: as ``canonical_pixels`` does.
    """
    header = _checked_header(data, limits or PhotoLimits())
    try:
        with open_image(header.file.bare(), header.file.format) as image:
            image.draft(None, (side_px, side_px))
            pixels = canonical_image(image, header.orientation)
    except Exception as error:
        raise _broken_error(data, error) from error
    pixels.thumbnail((side_px, side_px))
    return pixels


def canonical_image(image: Image.Image, orientation: int | None = None) -> Image.Image:
    """The canonical RGB image of any Pillow image; the image itself, loaded, if it is canonical already.

    ``orientation`` is the one to apply; without it, the one that the image's own metadata name.

    Raises:
        Exception: the pixel data is truncated or broken (from Pillow).
    """
    if orientation is None:
        orientation = _pillow_orientation(image)
    if orientation in _TURNS:
        image = image.transpose(_TURNS[orientation])
    if image.mode.startswith("I"):
        image = image.convert("I").point(lambda v: v / 256).convert("L")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    image.load()
    return image if image.mode == "RGB" else image.convert("RGB")


def media_type_of(data: bytes) -> str:
    """The media type that the first bytes of a file claim; ``application/octet-stream`` if that is no accepted format."""
    return next((kind.media_type for kind in FORMATS if kind.matches(data[:256])), "application/octet-stream")


def _file_of(data: bytes, limits: PhotoLimits) -> PhotoFile:
    if not data:
        raise PhotoRejected(PhotoReason.EMPTY, "0 bytes", ACCEPTED)
    if len(data) > limits.max_bytes:
        raise PhotoRejected(
            PhotoReason.TOO_MANY_BYTES, _byte_count(data), f"at most {limits.max_bytes:,} bytes are read"
        )
    start = data[:256]
    for kind in FORMATS:
        if kind.matches(start):
            return kind(data)
    other = (
        "a film" if start[4:8] == b"ftyp" else next((v for k, v in _OTHER_FORMATS.items() if start.startswith(k)), None)
    )
    if other:
        raise PhotoRejected(PhotoReason.UNSUPPORTED_FORMAT, f"{other} of {len(data):,} bytes", ACCEPTED)
    raise PhotoRejected(PhotoReason.NOT_AN_IMAGE, _byte_count(data), ACCEPTED)


def _check_size(name: str, size_wh: SizeWH, limits: PhotoLimits) -> None:
    width, height = size_wh
    found = f"{name} of {width} × {height} px"
    if width * height > limits.max_pixels:
        raise PhotoRejected(PhotoReason.TOO_MANY_PIXELS, found, f"at most {limits.max_pixels:,} pixels are read")
    if min(width, height) < MIN_SIDE_PX or max(width, height) > MAX_ASPECT * min(width, height):
        valid = f"both sides must be at least {MIN_SIDE_PX} px, one at most {MAX_ASPECT} times the other"
        raise PhotoRejected(PhotoReason.UNUSABLE_SIZE, found, valid)


def _checked_header(data: bytes, limits: PhotoLimits) -> PhotoHeader:
    """The header of a file whose structure is whole and whose headers decode."""
    header = photo_header(data, limits)
    try:
        header.file.check()
        if not header.file.needs_decoding and (skeleton := header.file.skeleton()):
            with open_image(skeleton, header.file.format) as image:
                image.load()
    except Exception as error:
        raise _broken_error(data, error) from error
    return header


def _pixels(header: PhotoHeader) -> Image.Image:
    data = header.file.data
    try:
        with open_image(header.file.bare(), header.file.format) as image:
            pixels = canonical_image(image, header.orientation)
    except Exception as error:
        raise _broken_error(data, error) from error
    if pixels.size != header.size_wh:
        raise PhotoRejected(PhotoReason.TRUNCATED, _byte_count(data), "its pixels must have the size of its header")
    return pixels


def _passes(header: PhotoHeader) -> bool:
    """Whether the engine shows these pixels as the canonical image, if it reads orientation as we do."""
    flat = header.mode == "RGBA" or not header.has_transparency
    return header.file.format in _ENGINE_FORMATS and header.mode in _ENGINE_MODES and flat


def _sent_as_it_is(header: PhotoHeader) -> CanonicalPhoto:
    """The original bytes, or those without metadata if Pillow, which the engine reads with, does not read them as we do."""
    file = header.file
    passed_through = file.plain or (file.tidy and _pillow_agrees(header))
    data = file.data if passed_through else file.bare(header.orientation)
    return CanonicalPhoto(
        data=data,
        media_type=file.media_type,
        size_wh=header.size_wh,
        digest=sha256(data).hexdigest(),
        passed_through=passed_through,
    )


def _pillow_agrees(header: PhotoHeader) -> bool:
    try:
        with open_image(header.file.data, header.file.format) as image:
            stand_in = Image.new("L", (1, 1))  # has the photo's metadata: turning it costs nothing
            stand_in.info = dict(image.info)
            ImageOps.exif_transpose(stand_in)  # the engine ignores orientation where this fails
            found = (image.mode, image.size, image.has_transparency_data, _pillow_orientation(stand_in))
    except Exception:
        return False
    return found == (header.mode, header.stored_wh, header.has_transparency, header.orientation)


def _pillow_orientation(image: Image.Image) -> int:
    try:
        found = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:
        return 1
    return found if found in _TURNS else 1


def _encode(pixels: Image.Image, header: PhotoHeader) -> CanonicalPhoto:
    """Pixels that the engine could not show from the original bytes, without loss.

    The fast form, unless it is larger than the original: then the smallest. A HEIC photo grows in any of them.
    """
    media_type, data = _lossless_webp(pixels, effort=0) or _lossless_png(pixels)
    if len(data) > len(header.file.data) and header.file.format != "HEIF":
        others = filter(None, (_lossless_webp(pixels, effort=4), _lossless_png(pixels)))
        media_type, data = min((media_type, data), *others, key=lambda one: len(one[1]))
    return CanonicalPhoto(
        data=data, media_type=media_type, size_wh=pixels.size, digest=sha256(data).hexdigest(), passed_through=False
    )


def _lossless_webp(pixels: Image.Image, *, effort: int) -> tuple[str, bytes] | None:
    if max(pixels.size) > MAX_WEBP_SIDE_PX:
        return None
    out = io.BytesIO()
    pixels.save(out, "WEBP", lossless=True, quality=20 * effort, method=effort)
    return "image/webp", out.getvalue()


def _lossless_png(pixels: Image.Image) -> tuple[str, bytes]:
    out = io.BytesIO()
    pixels.save(out, "PNG", optimize=True)
    return "image/png", out.getvalue()


def _broken_error(data: bytes, error: Exception) -> PhotoRejected:
    if isinstance(error, BrokenFile) and not error.begun:
        return PhotoRejected(PhotoReason.NOT_AN_IMAGE, _byte_count(data), f"{ACCEPTED}; {error}")
    detail = str(error) if isinstance(error, BrokenFile) else "its header and its pixels must be readable"
    return PhotoRejected(PhotoReason.TRUNCATED, _byte_count(data), f"the file must be complete and intact: {detail}")


def _byte_count(data: bytes) -> str:
    return f"{len(data):,} bytes"
