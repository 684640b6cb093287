"""JPEG: segments, then scans. Segments are found as libjpeg finds them: stray bytes before a marker are skipped."""

from __future__ import annotations

import re
import struct
from functools import cached_property
from typing import ClassVar, NamedTuple

from typing_extensions import override

from vqc.geometry import SizeWH
from vqc.photo_files.base import BrokenFile, PhotoFile
from vqc.photo_files.exif import PREFIX, minimal_exif, orientation_of

_MARKER = re.compile(rb"\xff[^\x00\xff]")
_SCAN_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
"""In entropy-coded data FF 00 is a value and FF D0 to FF D7 are restarts; any other marker ends the scan."""
_SOI, _EOI, _SOS, _APP0, _APP1, _APP14, _COM, _TEM = 0xD8, 0xD9, 0xDA, 0xE0, 0xE1, 0xEE, 0xFE, 0x01
_ALONE = {_TEM, _SOI, _EOI, *range(0xD0, 0xD8)}
"""Markers without a length."""
_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_LOSSLESS = {0xC3, 0xC7, 0xCB, 0xCF}
_XMP_PREFIX = b"http://ns.adobe.com/xap/1.0/\0"
_LARGEST_SIDE = 65_500
"""libjpeg's limit."""
MAX_SEGMENTS = 2000
MAX_SCANS = 64
"""Cameras write 1 scan, or about 10 in a progressive photo. Each costs a pass over all pixels."""


class _Segment(NamedTuple):
    marker: int
    start: int
    end: int
    """Just behind it. ``start`` is that of the marker."""


class JpegFile(PhotoFile):
    """A JPEG photo. Of a file with a second picture (MPO, Ultra HDR, motion photo) the first is the photo."""

    format: ClassVar[str] = "JPEG"
    media_type: ClassVar[str] = "image/jpeg"

    @override
    @classmethod
    def matches(cls, start: bytes) -> bool:
        return start.startswith(b"\xff\xd8\xff")

    @property
    @override
    def needs_decoding(self) -> bool:  # type: ignore[override]
        return any(segment.marker in _LOSSLESS for segment in self._header)

    @property
    @override
    def size_wh(self) -> SizeWH:
        frame = next((segment for segment in self._header if segment.marker in _FRAMES), None)
        if frame is None or frame.end - frame.start < 10:
            raise BrokenFile("it has no frame header", begun=False)
        height, width = struct.unpack_from(">HH", self.data, frame.start + 5)
        return width, height

    @property
    @override
    def orientation(self) -> int:
        payloads = [self._payload(segment) for segment in self._header if segment.marker == _APP1]
        exif = b"".join(one.removeprefix(PREFIX) for one in payloads if one.startswith(PREFIX))
        xmp = next((one for one in payloads if one.startswith(_XMP_PREFIX)), None)
        return orientation_of(exif, xmp)

    @property
    @override
    def plain(self) -> bool:  # type: ignore[override]
        ends = [2, *(segment.end for segment in self._header)]
        together = all(segment.start == end for segment, end in zip(self._header, ends, strict=False))
        return together and len(self._essential) == len(self._header)

    @override
    def head(self) -> bytes:
        """The header as 8 × 8 px, without coded data: it decodes, to grey, if its tables and components are valid."""
        return self._shrunk_file(self._essential)

    @override
    def check(self) -> None:
        _ = self._scans

    @override
    def bare(self, orientation: int = 1) -> bytes:
        parts = [b"\xff\xd8"]
        if orientation != 1:
            tiff = PREFIX + minimal_exif(orientation)
            parts.append(struct.pack(">BBH", 0xFF, _APP1, len(tiff) + 2) + tiff)
        parts += [self._bytes(segment) for segment in self._essential]
        return b"".join([*parts, self.data[self._header[-1].end :]])

    @override
    def skeleton(self) -> bytes | None:
        """The file as 8 × 8 px without its entropy-coded data: it decodes if and only if the whole file does.

        libjpeg reports an error for what markers say (tables, components, scans) and only warns about coded data.
        """
        return self._shrunk_file([*self._essential, *self._scans]) if self._scans else None

    @cached_property
    def _header(self) -> list[_Segment]:
        """The segments up to the start of the first scan, that one included."""
        segments: list[_Segment] = []
        position = 2
        while not segments or segments[-1].marker != _SOS:
            segment = self._segment(_MARKER, position, begun=False)
            if segment.marker == _EOI or len(segments) == MAX_SEGMENTS:
                raise BrokenFile("its header has no end", begun=False)
            segments.append(segment)
            position = segment.end
        return segments

    @cached_property
    def _scans(self) -> list[_Segment]:
        """The segments behind the start of the first scan, up to the end marker, that one left out."""
        segments: list[_Segment] = []
        position, scans = self._header[-1].end, 1
        while (segment := self._segment(_SCAN_MARKER, position)).marker != _EOI:
            scans += segment.marker == _SOS
            if len(segments) == MAX_SEGMENTS or scans > MAX_SCANS:
                raise BrokenFile(f"it has more than {MAX_SCANS} scans or {MAX_SEGMENTS} segments")
            segments.append(segment)
            position = segment.end
        return segments

    @cached_property
    def _essential(self) -> list[_Segment]:
        """The header without metadata. JFIF's and Adobe's segments stay: they tell libjpeg the colour space."""
        return [segment for segment in self._header if not self._is_metadata(segment)]

    def _is_metadata(self, segment: _Segment) -> bool:
        if segment.marker == _APP0:
            return not (self._payload(segment).startswith(b"JFIF\0") and segment.end - segment.start >= 18)
        if segment.marker == _APP14:
            return not (self._payload(segment).startswith(b"Adobe") and segment.end - segment.start >= 16)
        return segment.marker == _COM or segment.marker & 0xF0 == _APP0

    def _segment(self, pattern: re.Pattern[bytes], position: int, *, begun: bool = True) -> _Segment:
        match = pattern.search(self.data, position)
        if match is None:
            raise BrokenFile("it ends before its end marker", begun=begun)
        start, marker = match.start(), self.data[match.start() + 1]
        if marker in _ALONE:
            return _Segment(marker, start, start + 2)
        length = int.from_bytes(self.data[start + 2 : start + 4])
        if length < 2 or start + 2 + length > len(self.data):
            raise BrokenFile("one of its segments is longer than the file", begun=begun)
        return _Segment(marker, start, start + 2 + length)

    def _bytes(self, segment: _Segment) -> bytes:
        return self.data[segment.start : segment.end]

    def _payload(self, segment: _Segment) -> bytes:
        return self.data[segment.start + 4 : segment.end]

    def _shrunk_file(self, segments: list[_Segment]) -> bytes:
        return b"".join([b"\xff\xd8", *map(self._shrink, segments), b"\xff\xd9"])

    def _shrink(self, segment: _Segment) -> bytes:
        written = self._bytes(segment)
        if segment.marker not in _FRAMES or len(written) < 10:
            return written
        sides = (min(side, 8) if side <= _LARGEST_SIDE else side for side in struct.unpack_from(">HH", written, 5))
        return written[:5] + struct.pack(">HH", *sides) + written[9:]
