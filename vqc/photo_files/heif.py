"""HEIF and AVIF: boxes. Their own transformations (``irot``, ``imir``) turn the picture; EXIF's orientation is ignored.

Pillow reads AVIF; ``pillow-heif`` (libheif), loaded with the first HEIC photo, reads the others.
"""

from __future__ import annotations

import re
from typing import ClassVar

from typing_extensions import override

from vqc.geometry import SizeWH
from vqc.photo_files.base import BrokenFile, PhotoFile

_EXIF_ITEM = re.compile(rb"(infe\x02.{7})Exif|(infe\x03.{9})Exif", re.DOTALL)
_AVIF_BRANDS = {b"avif", b"avis"}
_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}
_MAX_EXIF_ITEMS = 16


class _BoxFile(PhotoFile):
    """A file of boxes. The decoding library alone knows its size; it reads that without decoding."""

    @property
    @override
    def size_wh(self) -> SizeWH | None:
        return None

    @property
    @override
    def orientation(self) -> int | None:
        return None

    @override
    def head(self) -> bytes:
        return self.bare()

    @override
    def check(self) -> None:
        """Raises ``BrokenFile`` if a box at the top is longer than the file."""
        position = 0
        for _ in range(1000):
            if position == len(self.data):
                return
            size = int.from_bytes(self.data[position : position + 4])
            if size == 1:
                size = int.from_bytes(self.data[position + 8 : position + 16])
            elif size == 0 and len(self.data) - position >= 8:
                return  # up to the end of the file
            if size < 8 or position + size > len(self.data):
                break
            position += size
        raise BrokenFile("one of its boxes is longer than the file")

    @override
    def bare(self, orientation: int = 1) -> bytes:
        """The file with its EXIF item renamed, so that no library reads it; of the same length."""
        return _EXIF_ITEM.sub(lambda match: (match[1] or match[2]) + b"skip", self.data, _MAX_EXIF_ITEMS)


class AvifFile(_BoxFile):
    """An AVIF photo."""

    format: ClassVar[str] = "AVIF"
    media_type: ClassVar[str] = "image/avif"

    @override
    @classmethod
    def matches(cls, start: bytes) -> bool:
        return bool(_brands(start) & _AVIF_BRANDS)


class HeifFile(_BoxFile):
    """A HEIC or HEIF photo; of a file with several pictures the primary one."""

    format: ClassVar[str] = "HEIF"
    media_type: ClassVar[str] = "image/heic"

    @override
    @classmethod
    def matches(cls, start: bytes) -> bool:
        return bool(_brands(start) & _HEIF_BRANDS)


def _brands(start: bytes) -> set[bytes]:
    """The brands that the file's first box names: the major one and those that it is compatible with."""
    if start[4:8] != b"ftyp":
        return set()
    end = min(int.from_bytes(start[:4]), len(start))
    return {start[8:12], *(start[n : n + 4] for n in range(16, end - 3, 4))}
