"""Reads a dense caption from a model's answer. Total: every text gives an outcome, never an exception.

Accepts more than ``vqc.codec`` writes (nested pairs, other key order, text around the JSON, code fences). Only text that
the codec would write is ``PARSED``; any other text with a caption is ``REPAIRED``, with a list of what was dropped or
repaired.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from vqc.caption import MAX_OBJECTS, CaptionObject, DenseCaption
from vqc.codec import KEY_PREFIX, render
from vqc.errors import InvalidValue
from vqc.geometry import NORM, Kind, Shape


class Status(StrEnum):
    """The result of parsing."""

    PARSED = "parsed"
    REPAIRED = "repaired"
    MALFORMED = "malformed"


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptionOutcome:
    """The parsed caption, None exactly if the status is ``MALFORMED``; ``notes`` list the repairs."""

    status: Status
    caption: DenseCaption | None
    truncated: bool = False
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class CaptionReader:
    """Parses an answer while it streams: each call returns the objects that have become complete.

    >>> reader = CaptionReader()
    >>> reader.feed('{"object_1": {"bbox_2d": [1, 2, 3')
    []
    >>> [item.desc for item in reader.feed(', 4], "desc": "标签"}')]
    ['标签']
    """

    text: str = ""
    notes: list[str] = field(default_factory=list)
    objects: list[CaptionObject] = field(default_factory=list)
    closed: bool = False
    _position: int = 0
    _opened: bool = False

    def feed(self, delta: str) -> list[CaptionObject]:
        """The objects that ``delta`` completes, in order. The cost is proportional to the delta, not to the text."""
        self.text += delta
        before = len(self.objects)
        if "}" in delta or not self._opened:  # only a brace can complete an object: most deltas cost nothing
            self._take_complete()
        return self.objects[before:]

    def outcome(self) -> CaptionOutcome:
        """The outcome if the text so far is the whole answer."""
        if not self._opened:
            return CaptionOutcome(status=Status.MALFORMED, caption=None, notes=("no JSON object in the answer",))
        # An object that is not JSON stops the member loop. Skip to the next object key: one bad object costs no others.
        while self._skip_unreadable():
            self._take_complete()
        caption = DenseCaption(tuple(self.objects))
        if self.closed and render(caption) == self.text:
            return CaptionOutcome(status=Status.PARSED, caption=caption)
        notes = list(self.notes)
        if not self.closed:
            notes.append("the answer ends before its last object is complete")
        if not notes:
            notes.append("spelling or order differs from the canonical form")
        return CaptionOutcome(status=Status.REPAIRED, caption=caption, truncated=not self.closed, notes=tuple(notes))

    def _take_complete(self) -> None:
        for key, value in self._members():
            self._take(key, value)

    def _skip_unreadable(self) -> bool:
        """Moves to the object after an unreadable one; returns whether there is one."""
        following = None if self.closed else _OBJECT_KEY.search(self.text, self._position + len(_OPENING_KEY))
        if following is None:
            return False
        self.notes.append(f"dropped, not JSON: {self.text[self._position : following.start()][:80]!r}")
        self._position = following.start()
        return True

    def _members(self) -> Iterator[tuple[str, object]]:
        """The complete ``"key": value`` members after the position, which advances past each."""
        if not self._opened:
            start = self.text.find("{")
            if start < 0:
                return
            self._opened, self._position = True, start + 1
        while not self.closed:
            match = _MEMBER.match(self.text, self._position)
            if match is None:
                if _CLOSING.match(self.text, self._position):
                    self.closed = True
                return
            try:
                value, end = _DECODER.raw_decode(self.text, match.end())
            except (ValueError, RecursionError):
                # Incomplete, not JSON, nested too deeply, or a number of thousands of digits. A stream may still complete
                # it, so the position stays; ``outcome`` decides what is unreadable for good.
                return
            self._position = end
            yield match["key"], value

    def _take(self, key: str, value: object) -> None:
        if len(self.objects) == MAX_OBJECTS:
            self.notes.append(f"{key}: dropped, a caption holds at most {MAX_OBJECTS} objects")
            return
        if key != f"{KEY_PREFIX}{len(self.objects) + 1}":
            self.notes.append(f"{key}: renumbered {KEY_PREFIX}{len(self.objects) + 1}")
        try:
            item, notes = _object(value)
        except InvalidValue as error:
            self.notes.append(f"{key}: dropped, {error}")
            return
        self.objects.append(item)
        self.notes += [f"{key}: {note}" for note in notes]


def parse(text: str) -> CaptionOutcome:
    """The outcome of a complete answer.

    >>> parse('{"object_1": {"bbox_2d": [1, 2, 3, 4], "desc": "标签"}}').status
    <Status.PARSED: 'parsed'>
    >>> outcome = parse('{"object_1": {"bbox_2d": [1, 2, 3, 4], "desc": "标签"}, "object_2": {"bbox')
    >>> outcome.status, outcome.truncated, len(outcome.caption.objects)
    (<Status.REPAIRED: 'repaired'>, True, 1)
    """
    reader = CaptionReader()
    reader.feed(text)
    return reader.outcome()


def _object(value: object) -> tuple[CaptionObject, list[str]]:
    """The object in a JSON value, and the repairs. Raises ``InvalidValue``."""
    if not isinstance(value, dict):
        raise InvalidValue("object", value, "must be a JSON object")
    kinds = [kind for kind in Kind if kind.value in value]
    if len(kinds) != 1:
        raise InvalidValue("object", sorted(value), "must have exactly one of bbox_2d, quad, line")
    kind = kinds[0]
    xy, notes = _coordinates(kind, value[kind.value])
    if kind is Kind.LINE and value.get("line_points") != len(xy) // 2:
        raise InvalidValue("line_points", value.get("line_points"), f"must equal the number of points, {len(xy) // 2}")
    if kind is Kind.BBOX and len(xy) == 4 and (xy[0] > xy[2] or xy[1] > xy[3]):
        xy = (*map(min, xy[:2], xy[2:]), *map(max, xy[:2], xy[2:]))
        notes.append("swapped corners put in order")
    if unknown := set(value) - {"desc", "line_points", kind.value}:
        notes.append(f"unknown keys ignored: {', '.join(sorted(unknown))}")
    return CaptionObject(shape=Shape(kind, xy), desc=value.get("desc")), notes  # type: ignore[arg-type]


def _coordinates(kind: Kind, value: object) -> tuple[tuple[int, ...], list[str]]:
    """Flat norm1000 integers from flat or paired numbers; out-of-range ones are clamped and noted."""
    flat = (
        [v for item in value for v in (item if isinstance(item, list) else [item])] if isinstance(value, list) else []
    )
    if not flat or not all(isinstance(v, int | float) and not isinstance(v, bool) and abs(v) < 1e9 for v in flat):
        raise InvalidValue(kind, value, "must be a list of numbers")
    clamped = tuple(min(max(round(v), 0), NORM) for v in flat)
    return clamped, ["coordinates clamped to 0..1000"] if any(not 0 <= v <= NORM for v in flat) else []


_DECODER = json.JSONDecoder()
_MEMBER = re.compile(r'[\s,]*"(?P<key>[^"\\]*)"\s*:\s*')
_OPENING_KEY = f'"{KEY_PREFIX}'
_OBJECT_KEY = re.compile(rf'{_OPENING_KEY}\d+"\s*:')
_CLOSING = re.compile(r"[\s,]*\}")
