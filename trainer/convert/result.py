"""The result of a conversion."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class LostKey:
    """A key that the other configuration cannot express, and what to do about it. ``key`` has its own side's name."""

    key: str
    value: object
    why: str

    def __str__(self) -> str:
        return f"{self.key} ({self.value!r}): {self.why}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """The converted configuration without its defaults, and the keys that were not converted."""

    tree: dict[str, object]
    lost: tuple[LostKey, ...]
