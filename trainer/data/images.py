"""Image references of records, and the canonical pixels behind them.

A reference is a path, a data URL or base64 bytes. Network addresses are rejected: training must not depend on a server.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from vqc import image
from vqc.errors import InvalidValue, PhotoReason, PhotoRejected
from vqc.geometry import SizeWH
from vqc.image import PhotoLimits, photo_header

_HEADER_BYTES = 128 * 1024
"""Holds the header of nearly every JPEG; if not, the whole file is read."""


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

    >>> data_url(b"\\x89PNG\\r\\n\\x1a\\n")
    'data:image/png;base64,iVBORw0KGgo='
    """
    return f"data:{image.media_type_of(data)};base64,{base64.b64encode(data).decode()}"


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
        PhotoRejected: the file is no photo of an accepted format, or exceeds ``limits``.
        OSError: the file cannot be read.
    """
    limits = limits or PhotoLimits()
    with _naming_file(ref):
        if ref.data is None and ref.size_bytes <= limits.max_bytes:
            with ref.existing_path.open("rb") as file, suppress(PhotoRejected):
                start = file.read(_HEADER_BYTES)
                if start.startswith(b"\xff\xd8"):  # other formats may keep their orientation at the end of the file
                    return photo_header(start, limits).size_wh
        return photo_header(_bytes_of(ref, limits), limits).size_wh


def canonical_pixels(ref: ImageRef, limits: PhotoLimits | None = None) -> Image.Image:
    """The canonical RGB image: the pixels that the service would see in the same bytes (law 2).

    Raises:
        PhotoRejected: the file is no readable photo of an accepted format, or exceeds ``limits``.
        OSError: the file cannot be read.
    """
    limits = limits or PhotoLimits()
    with _naming_file(ref):
        return image.canonical_pixels(_bytes_of(ref, limits), limits)


@contextmanager
def _naming_file(ref: ImageRef) -> Iterator[None]:
    """Names the file in a rejection."""
    try:
        yield
    except PhotoRejected as error:
        raise PhotoRejected(error.reason, error.value, error.valid, field=f"image {str(ref)!r}") from error


def _bytes_of(ref: ImageRef, limits: PhotoLimits) -> bytes:
    if ref.data is not None:
        return ref.data
    if (size := ref.size_bytes) > limits.max_bytes:  # before reading it
        raise PhotoRejected(
            PhotoReason.TOO_MANY_BYTES, f"{size:,} bytes", f"at most {limits.max_bytes:,} bytes are read"
        )
    return ref.existing_path.read_bytes()


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
