"""The error tree of the product: every error a caller may see is a ``VqcError`` that carries data.

    VqcError
    ├── InvalidValue          a value that the caller can correct: which field, what was given, what is valid
    │   ├── UnknownMission    a mission that no definition names
    │   └── PhotoRejected     a photo that cannot be read or is over a limit (``reason`` is a closed set)
    └── EngineError           drawn in ``engine.errors``

Status codes live in ``service.web.problems`` alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from enum import StrEnum


class VqcError(Exception):
    """Root of every error that this product raises on purpose. Travels between processes with its data."""

    def __reduce__(self) -> tuple[object, ...]:
        return _restored, (type(self), self.args, self.__dict__)


class InvalidValue(VqcError):
    """A value that the caller can correct.

    ``field`` is the dotted name the caller used, ``value`` what was given, ``valid`` says what would be accepted.
    """

    def __init__(self, field: str, value: object, valid: str) -> None:
        self.field = field
        self.value = value
        self.valid = valid
        super().__init__(f"{field}: {short_repr(value)} is not valid; {valid}")


class UnknownMission(InvalidValue):
    """A mission name that no definition has; ``valid`` names the nearest one first."""

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
    """``repr`` of a value, cut so that a message never carries a whole payload.

    >>> short_repr("x" * 500, 10)
    "'xxxxxxxxx…"
    """
    text = repr(value)
    return text if len(text) <= limit else text[:limit] + "…"


def _restored(kind: type[VqcError], args: tuple[object, ...], state: dict[str, object]) -> VqcError:
    """The error as it was, without calling its constructor, whose arguments are not its message."""
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error
