"""What a conversion comes to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """A key whose value the other side cannot say, and what to do about it. ``key`` is named as its own side does."""

    key: str
    value: object
    why: str

    def __str__(self) -> str:
        return f"{self.key} ({self.value!r}): {self.why}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """The other side's configuration, defaults left out, and what did not come along."""

    tree: dict[str, object]
    lost: tuple[Lost, ...]
