"""The dense caption of a photo: its objects, the description grammar and the reading order.

Owns the values and their invariants. ``vqc.codec`` writes them and ``vqc.parser`` reads them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from vqc.errors import InvalidValue
from vqc.geometry import NORM, Kind, Shape, SizeWH, canonical, reference_point, to_norm1000, to_pixels

MAX_OBJECTS = 64
"""Maximum number of objects in a caption."""

MAX_DESC_LENGTH = 128
"""Maximum number of characters in a description."""

SEPARATOR_CLASS = "[/,:]"
"""``/`` between levels, ``,`` inside a level, ``:`` between a name and its value."""

VALUE_CLASS = r'[^\x00-\x20"/,:\\\x7f-\x9f]'
"""A character of a value: anything except controls, spaces, separators and what JSON would have to escape."""

DESC_PATTERN = f"(?:{VALUE_CLASS}(?: (?={VALUE_CLASS}))?|{SEPARATOR_CLASS})+"
"""A description as a regular expression: values joined by separators, with single spaces inside a value only."""

_DESC = re.compile(DESC_PATTERN)
_KIND_RANK = {kind: rank for rank, kind in enumerate(Kind)}


def checked_desc(desc: object) -> str:
    """The description, without surrounding spaces.

    >>> checked_desc(" BBU设备/华为,显示完整 ")
    'BBU设备/华为,显示完整'

    Raises:
        InvalidValue: not text, empty, a space beside a separator, a control character, a quote, or too long.
    """
    stripped = desc.strip(" ") if isinstance(desc, str) else ""
    if len(stripped) <= MAX_DESC_LENGTH and _DESC.fullmatch(stripped) and is_utf8(stripped):
        return stripped
    raise InvalidValue(
        "desc",
        desc,
        f"must be 1 to {MAX_DESC_LENGTH} characters, values joined by '/', ',' and ':', single spaces inside a value only, "
        "no quotes, backslashes and control characters",
    )


def is_utf8(text: str) -> bool:
    """Whether the text can be encoded: a JSON escape can contain half a surrogate pair, which cannot.

    >>> is_utf8("光纤"), is_utf8("\\ud800")
    (True, False)
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptionObject:
    """One object: its shape, in canonical form, and its description."""

    shape: Shape
    desc: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "desc", checked_desc(self.desc))
        object.__setattr__(self, "shape", canonical(self.shape))

    def to_norm1000(self, size_wh: SizeWH) -> CaptionObject:
        """The object of a pixel-space photo of ``size_wh``, in norm1000."""
        return CaptionObject(shape=to_norm1000(self.shape, size_wh), desc=self.desc)

    def to_pixels(self, size_wh: SizeWH) -> CaptionObject:
        """The norm1000 object in pixels of a photo of ``size_wh``."""
        return CaptionObject(shape=to_pixels(self.shape, size_wh), desc=self.desc)


@dataclass(frozen=True, slots=True)
class DenseCaption:
    """The objects of one photo in norm1000 space (integers 0..1000), always in reading order.

    Reading order: by y, then x of each shape's reference point, then kind, coordinates and description, so that it does
    not depend on the order in which the objects were given.

    Raises:
        InvalidValue: more than ``MAX_OBJECTS`` objects, or a coordinate that is not an integer in 0..1000.
    """

    objects: tuple[CaptionObject, ...] = ()

    def __post_init__(self) -> None:
        if len(self.objects) > MAX_OBJECTS:
            raise InvalidValue("objects", len(self.objects), f"a caption holds at most {MAX_OBJECTS} objects")
        for item in self.objects:
            if not all(isinstance(v, int) and 0 <= v <= NORM for v in item.shape.xy):
                raise InvalidValue(item.shape.kind, item.shape.xy, f"must hold integers of 0 to {NORM}")
        object.__setattr__(self, "objects", tuple(in_reading_order(self.objects)))

    @classmethod
    def from_pixels(cls, objects: Iterable[CaptionObject], size_wh: SizeWH) -> Self:
        """The caption of a photo of ``size_wh`` pixels, from objects in pixel space."""
        return cls(tuple(item.to_norm1000(size_wh) for item in objects))


def in_reading_order(objects: Iterable[CaptionObject]) -> list[CaptionObject]:
    """The objects from top to bottom, then left to right, in any space."""
    return sorted(objects, key=_reading_key)


def _reading_key(item: CaptionObject) -> tuple[object, ...]:
    x, y = reference_point(item.shape)
    return (y, x, _KIND_RANK[item.shape.kind], item.shape.xy, item.desc)
