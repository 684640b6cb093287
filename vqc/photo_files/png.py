"""PNG: chunks with checksums. Text, colour profiles, EXIF and every unknown chunk are metadata."""

from __future__ import annotations

import struct
import zlib
from functools import cached_property
from typing import ClassVar, NamedTuple

from typing_extensions import override

from vqc.geometry import SizeWH
from vqc.photo_files.base import BrokenFile, PhotoFile
from vqc.photo_files.exif import minimal_exif, orientation_of

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PIXEL_CHUNKS = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND", b"acTL", b"fcTL", b"fdAT"}
_TEXT_CHUNKS = {b"tEXt", b"zTXt", b"iTXt"}
_RAW_PROFILE, _XMP = b"Raw profile type exif", b"XML:com.adobe.xmp"
"""Where ImageMagick writes EXIF, and where Adobe writes XMP."""
_MAX_TEXT_BYTES = 2**20
MAX_CHUNKS = 100_000


class _Chunk(NamedTuple):
    name: bytes
    start: int
    end: int
    """Just behind its checksum. ``start`` is that of its length."""


class PngFile(PhotoFile):
    """A PNG photo."""

    format: ClassVar[str] = "PNG"
    media_type: ClassVar[str] = "image/png"

    @override
    @classmethod
    def matches(cls, start: bytes) -> bool:
        return start.startswith(_SIGNATURE)

    @property
    @override
    def tidy(self) -> bool:  # type: ignore[override]
        names = [chunk.name for chunk in self._chunks]
        behind = names[names.index(b"IDAT") :] if b"IDAT" in names else names
        return not any(name == b"eXIf" or name in _TEXT_CHUNKS for name in behind)

    @property
    @override
    def size_wh(self) -> SizeWH:
        if self._chunks[0].name != b"IHDR" or len(self._payload(self._chunks[0])) < 13:
            raise BrokenFile("it has no header", begun=False)
        width, height = struct.unpack_from(">LL", self._payload(self._chunks[0]))
        return width, height

    @property
    @override
    def orientation(self) -> int:
        exif = next((self._payload(chunk) for chunk in self._chunks if chunk.name == b"eXIf"), None)
        texts = [(chunk.name, self._payload(chunk)) for chunk in self._chunks if chunk.name in _TEXT_CHUNKS]
        xmp = next((_text(name, payload) for name, payload in texts if payload.startswith(_XMP + b"\0")), None)
        if exif is None:
            profiles = (_text(name, payload) for name, payload in texts if payload.startswith(_RAW_PROFILE + b"\0"))
            exif = next(map(_from_hex, profiles), None)
        return orientation_of(exif, xmp)

    @override
    def head(self) -> bytes:
        parts = [_SIGNATURE]
        for chunk in self._pixel_chunks:
            if chunk.name == b"IDAT":
                break
            parts.append(self._bytes(chunk))
        return b"".join([*parts, _chunk_bytes(b"IDAT", b""), _chunk_bytes(b"IEND", b"")])

    @override
    def check(self) -> None:
        view = memoryview(self.data)
        for chunk in self._pixel_chunks:
            checksum = int.from_bytes(view[chunk.end - 4 : chunk.end])
            if zlib.crc32(view[chunk.start + 4 : chunk.end - 4]) != checksum:
                raise BrokenFile(f"the checksum of its chunk {chunk.name.decode()} differs")

    @override
    def bare(self, orientation: int = 1) -> bytes:
        parts = [_SIGNATURE, *map(self._bytes, self._pixel_chunks)]
        if orientation != 1:
            parts.insert(2, _chunk_bytes(b"eXIf", minimal_exif(orientation)))  # behind IHDR
        return b"".join(parts)

    @cached_property
    def _chunks(self) -> list[_Chunk]:
        chunks: list[_Chunk] = []
        position = len(_SIGNATURE)
        while not chunks or chunks[-1].name != b"IEND":
            if position + 12 > len(self.data) or len(chunks) == MAX_CHUNKS:
                raise BrokenFile("it ends before its last chunk", begun=bool(chunks))
            length, name = struct.unpack_from(">L4s", self.data, position)
            if position + 12 + length > len(self.data):
                raise BrokenFile("one of its chunks is longer than the file", begun=bool(chunks))
            chunks.append(_Chunk(name, position, position + 12 + length))
            position += 12 + length
        return chunks

    @property
    def _pixel_chunks(self) -> list[_Chunk]:
        return [chunk for chunk in self._chunks if chunk.name in _PIXEL_CHUNKS]

    def _bytes(self, chunk: _Chunk) -> bytes:
        return self.data[chunk.start : chunk.end]

    def _payload(self, chunk: _Chunk) -> bytes:
        return self.data[chunk.start + 8 : chunk.end - 4]


def _chunk_bytes(name: bytes, payload: bytes) -> bytes:
    return struct.pack(">L4s", len(payload), name) + payload + struct.pack(">L", zlib.crc32(name + payload))


def _text(name: bytes, payload: bytes) -> bytes:
    """The text of a chunk behind its keyword, inflated up to a limit; what is not text gives other bytes."""
    text = payload.partition(b"\0")[2]
    if name == b"iTXt":
        packed, text = text[:1] == b"\1", text[2:].partition(b"\0")[2].partition(b"\0")[2]
    else:
        packed, text = name == b"zTXt", text[1:] if name == b"zTXt" else text
    if not packed:
        return text
    try:
        return zlib.decompressobj().decompress(text, _MAX_TEXT_BYTES)
    except zlib.error:
        return b""


def _from_hex(profile: bytes) -> bytes:
    try:
        return bytes.fromhex(b"".join(profile.split(b"\n")[3:]).decode("ascii"))
    except ValueError:
        return b""
