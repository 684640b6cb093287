"""WebP: a RIFF file. Its EXIF, XMP and colour profile are chunks of the extended form (VP8X)."""

from __future__ import annotations

import struct
from functools import cached_property
from typing import ClassVar, NamedTuple

from typing_extensions import override

from vqc.geometry import SizeWH
from vqc.photo_files.base import BrokenFile, PhotoFile
from vqc.photo_files.exif import minimal_exif, orientation_of

_PIXEL_CHUNKS = {b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF"}
_PROFILE_FLAG, _EXIF_FLAG, _XMP_FLAG = 0x20, 0x08, 0x04
MAX_CHUNKS = 10_000


class _Chunk(NamedTuple):
    name: bytes
    payload: bytes
    padding: bytes
    """The byte behind an odd payload, as it is: libwebp may read it."""


class WebpFile(PhotoFile):
    """A WebP photo."""

    format: ClassVar[str] = "WEBP"
    media_type: ClassVar[str] = "image/webp"

    @override
    @classmethod
    def matches(cls, start: bytes) -> bool:
        return start[:4] == b"RIFF" and start[8:12] == b"WEBP"

    @property
    @override
    def size_wh(self) -> SizeWH:
        name, payload, _ = self._chunks[0]
        if name == b"VP8X" and len(payload) >= 10:
            return 1 + int.from_bytes(payload[4:7], "little"), 1 + int.from_bytes(payload[7:10], "little")
        if name == b"VP8L" and len(payload) >= 5:
            bits = int.from_bytes(payload[1:5], "little")
            return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
        if name == b"VP8 " and len(payload) >= 10:
            width, height = struct.unpack_from("<HH", payload, 6)
            return width & 0x3FFF, height & 0x3FFF
        raise BrokenFile("it has no header", begun=False)

    @property
    @override
    def orientation(self) -> int:
        flags = self._flags
        exif = next((payload for name, payload, _ in self._chunks if name == b"EXIF" and flags & _EXIF_FLAG), None)
        xmp = next((payload for name, payload, _ in self._chunks if name == b"XMP " and flags & _XMP_FLAG), None)
        return orientation_of(exif, xmp)

    @override
    def head(self) -> bytes:
        return self.bare()

    @override
    def check(self) -> None:
        _ = self._chunks

    @override
    def bare(self, orientation: int = 1) -> bytes:
        chunks = [chunk for chunk in self._chunks if chunk.name in _PIXEL_CHUNKS]
        if chunks and chunks[0].name == b"VP8X":
            flags = self._flags & ~(_PROFILE_FLAG | _EXIF_FLAG | _XMP_FLAG) | (_EXIF_FLAG if orientation != 1 else 0)
            chunks[0] = chunks[0]._replace(payload=bytes([flags]) + chunks[0].payload[1:])
        if orientation != 1:
            chunks.append(_Chunk(b"EXIF", minimal_exif(orientation), b""))
        body = b"".join(struct.pack("<4sL", chunk.name, len(chunk.payload)) + b"".join(chunk[1:]) for chunk in chunks)
        return struct.pack("<4sL4s", b"RIFF", len(body) + 4, b"WEBP") + body

    @property
    def _flags(self) -> int:
        """The flags of the extended form; without it, metadata chunks mean nothing."""
        name, payload, _ = self._chunks[0]
        return payload[0] if name == b"VP8X" and payload else 0

    @cached_property
    def _chunks(self) -> list[_Chunk]:
        end = int.from_bytes(self.data[4:8], "little") + 8
        if end > len(self.data):
            raise BrokenFile("it is shorter than its header says")
        chunks: list[_Chunk] = []
        position = 12
        while position + 8 <= end:
            name, length = struct.unpack_from("<4sL", self.data, position)
            behind = position + 8 + length
            if behind + length % 2 > end or len(chunks) == MAX_CHUNKS:
                raise BrokenFile("one of its chunks is longer than the file", begun=bool(chunks))
            padding = self.data[behind : behind + length % 2]
            chunks.append(_Chunk(name, self.data[position + 8 : behind], padding))
            position = behind + length % 2
        if not chunks:
            raise BrokenFile("it has no chunks", begun=False)
        return chunks
