"""The error tree of the product: every error for a caller is a ``VqcError`` that carries data.

    VqcError
    ├── InvalidValue          a value that the caller can correct: the field, the value, what is valid
    │   ├── UnknownMission    a mission without a definition
    │   └── PhotoRejected     a photo that cannot be read or exceeds a limit (``reason`` is a closed set)
    └── EngineError           see ``engine.errors``

Only ``service.web.problems`` knows status codes.
"""

from __future__ import annotations

import reprlib
from collections.abc import Iterable
from difflib import get_close_matches
from enum import StrEnum


class VqcError(Exception):
    """Root of all errors that this product raises on purpose. Can be pickled with its data."""

    def __reduce__(self) -> tuple[object, ...]:
        return _restore_error, (type(self), self.args, self.__dict__)


class InvalidValue(VqcError):
    """A value that the caller can correct.

    ``field`` is the caller's dotted name of it, ``value`` what was given, ``valid`` what would be accepted.
    """

    def __init__(self, field: str, value: object, valid: str) -> None:
        self.field = field
        self.value = value
        self.valid = valid
        super().__init__(f"{field}: {short_repr(value)} is not valid; {valid}")


class UnknownMission(InvalidValue):
    """A mission name without a definition; ``valid`` lists the nearest name first."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        known = list(known)
        nearest = get_close_matches(name, known, n=1, cutoff=0.3)
        hint = f"did you mean {nearest[0]!r}? " if nearest else ""
        super().__init__("mission", name, f"{hint}known missions: {', '.join(known)}")


class PhotoReason(StrEnum):
    """Why a photo was rejected."""

    EMPTY = "empty"
    NOT_AN_IMAGE = "not-an-image"
    UNSUPPORTED_FORMAT = "unsupported-format"
    ANIMATED = "animated"
    TRUNCATED = "truncated"
    TOO_MANY_BYTES = "too-many-bytes"
    TOO_MANY_PIXELS = "too-many-pixels"
    UNUSABLE_SIZE = "unusable-size"


class PhotoRejected(InvalidValue):
    """A photo that cannot be used. ``value`` describes it (size, format), never its contents."""

    def __init__(self, reason: PhotoReason, value: object, valid: str, field: str = "photo") -> None:
        self.reason = reason
        super().__init__(field, value, valid)


def short_repr(value: object, limit: int = 120) -> str:
    """``repr`` of a value, truncated so that a message never contains a whole payload.

    >>> short_repr("x" * 500, 10)
    "'xxxxxxxxx…"
    """
    if isinstance(value, str | bytes | bytearray):
        text = repr(value[: limit + 1])  # the whole of a payload takes its time, and twice its memory
    else:
        shown = reprlib.Repr()
        shown.maxstring = shown.maxother = shown.maxlong = shown.maxdict = shown.maxlist = shown.maxtuple = limit + 1
        text = shown.repr(value)
    return text if len(text) <= limit else text[:limit] + "…"


def _restore_error(kind: type[VqcError], args: tuple[object, ...], state: dict[str, object]) -> VqcError:
    """Restores a pickled error without its constructor, whose arguments are not its message."""
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error
