"""Image references of records, and the canonical pixels behind them.

A reference is a path, a data URL or base64 bytes. Network addresses are rejected: training must not depend on a server.
"""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from PIL import ExifTags, Image

from vqc.errors import InvalidValue, PhotoReason, PhotoRejected
from vqc.geometry import SizeWH
from vqc.image import PhotoLimits, canonical_image

_FORMATS = ("JPEG", "PNG", "WEBP")
"""Pillow's names. Its JPEG reader also opens MPO, the JPEG with a second picture that some phones write."""
_SIDES_SWAPPED = {5, 6, 7, 8}
"""EXIF orientations that rotate a photo by a quarter turn."""


@dataclass(frozen=True, slots=True)
class ImageRef:
    """One image of a record: a file (``path``) or its encoded bytes (``data``), never both."""

    path: Path | None = None
    data: bytes | None = None

    @property
    def size_bytes(self) -> int:
        """Size of the encoded image.

        Raises:
            OSError: the file does not exist.
        """
        return len(self.data) if self.data is not None else self.existing_path.stat().st_size

    @property
    def existing_path(self) -> Path:
        """The file of a reference by path."""
        assert self.path is not None
        return self.path

    @property
    def value(self) -> str:
        """The reference as chat messages carry it: the path, or a data URL."""
        return data_url(self.data) if self.data is not None else str(self.path)

    def __str__(self) -> str:
        return str(self.path) if self.path is not None else f"{len(self.data or b''):,} bytes in the record"


def image_ref(value: object, root: Path) -> ImageRef:
    """The reference for a record's value; relative paths start from ``root``.

    >>> image_ref("a/b.jpg", Path("/data")).path
    PosixPath('/data/a/b.jpg')
    >>> image_ref({"bytes": "aGk="}, Path("/data")).data
    b'hi'

    Raises:
        InvalidValue: an empty value, a network address, bytes that are not base64, or another type.
    """
    if isinstance(value, Mapping):
        if value.get("bytes") is not None:
            return _from_bytes(value["bytes"])
        return image_ref(value.get("path") or value.get("url"), root)
    if isinstance(value, (bytes, bytearray)):
        return ImageRef(data=bytes(value))
    if not isinstance(value, (str, Path)) or not str(value):
        raise InvalidValue("image", value, "an image is a path, a data URL, or {bytes: base64}")
    text = str(value)
    if text.startswith("data:"):
        return _from_data_url(text)
    if "://" in text and not text.startswith("file://"):
        raise InvalidValue("image", text, "network addresses are not read during training; download the images first")
    return ImageRef(path=root / text.removeprefix("file://"))


def data_url(data: bytes) -> str:
    """The bytes of an image as a data URL with the media type of its format.

    >>> buffer = io.BytesIO(); Image.new("RGB", (8, 8)).save(buffer, "PNG")
    >>> data_url(buffer.getvalue())[:30]
    'data:image/png;base64,iVBORw0K'
    """
    with Image.open(io.BytesIO(data)) as image:
        media_type = Image.MIME.get(str(image.format), "application/octet-stream")
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


def image_root(jsonl: Path, configured: str | None = None, environ: Mapping[str, str] | None = None) -> Path:
    """Base directory of relative image paths: the configured one, else ROOT_IMAGE_DIR, else the JSONL file's directory.

    >>> image_root(Path("/d/a.jsonl"), environ={})
    PosixPath('/d')
    >>> image_root(Path("/d/a.jsonl"), environ={"ROOT_IMAGE_DIR": "/img"})
    PosixPath('/img')
    """
    root = configured or (os.environ if environ is None else environ).get("ROOT_IMAGE_DIR")
    return Path(root) if root else jsonl.parent


def header_size_wh(ref: ImageRef, limits: PhotoLimits | None = None) -> SizeWH:
    """Width and height of the canonical image in px, from the header; pixels are not decoded.

    Raises:
        PhotoRejected: the file is not a JPEG, PNG or WebP image, or exceeds ``limits``.
        OSError: the file cannot be read.
    """
    with _open_image(ref, limits) as image:
        width, height = image.size
        swapped = image.getexif().get(ExifTags.Base.Orientation, 1) in _SIDES_SWAPPED
    return (height, width) if swapped else (width, height)


def canonical_pixels(ref: ImageRef, limits: PhotoLimits | None = None) -> Image.Image:
    """The canonical RGB image: the pixels that the service would see in the same bytes (law 2).

    Raises:
        PhotoRejected: the file is not a readable JPEG, PNG or WebP image, or exceeds ``limits``.
        OSError: the file cannot be read.
    """
    with _open_image(ref, limits) as image:
        try:
            return canonical_image(image)
        except (OSError, SyntaxError, ValueError) as error:
            raise PhotoRejected(PhotoReason.TRUNCATED, str(ref), f"its pixels must be readable: {error}") from error


def _open_image(ref: ImageRef, limits: PhotoLimits | None) -> Image.Image:
    limits = limits or PhotoLimits()
    size = ref.size_bytes
    if size > limits.max_bytes:
        raise PhotoRejected(
            PhotoReason.TOO_MANY_BYTES, f"{size:,} bytes", f"at most {limits.max_bytes:,} bytes are read"
        )
    try:
        image = Image.open(io.BytesIO(ref.data) if ref.data is not None else ref.existing_path, formats=_FORMATS)
    except FileNotFoundError:
        raise
    except (OSError, SyntaxError, ValueError) as error:
        raise PhotoRejected(PhotoReason.NOT_AN_IMAGE, str(ref), "photos are JPEG, PNG or WebP") from error
    if image.width * image.height > limits.max_pixels:
        found = f"{image.width} × {image.height} px"
        raise PhotoRejected(PhotoReason.TOO_MANY_PIXELS, found, f"at most {limits.max_pixels:,} pixels are read")
    return image


def _from_bytes(value: object) -> ImageRef:
    if isinstance(value, (bytes, bytearray)):
        return ImageRef(data=bytes(value))
    try:
        return ImageRef(data=base64.b64decode(str(value), validate=True))
    except ValueError as error:  # raised for text that is not ASCII too
        raise InvalidValue("image", value, "bytes in a record are base64") from error


def _from_data_url(text: str) -> ImageRef:
    head, _, body = text.partition(",")
    if not head.endswith(";base64") or not body:
        raise InvalidValue("image", text, "a data URL is data:image/<format>;base64,<data>")
    return _from_bytes(body)
