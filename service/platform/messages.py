"""A message that the console translates: a code with values, and its English text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalizedMessage:
    """``text`` is for logs and the API; the console has a translation of ``code``, with the same ``values``.

    ``about`` names the subject, such as a gate or an alias.
    """

    code: str
    text: str
    values: Mapping[str, str] = field(default_factory=dict)
    about: str | None = None

    @classmethod
    def of(cls, code: str, sentence: str, **values: object) -> Self:
        """The message whose text is the sentence with its values.

        >>> LocalizedMessage.of("fetching", "fetching {version}", version="v2").text
        'fetching v2'
        """
        words = {name: str(value) for name, value in values.items()}
        return cls(code=code, text=sentence.format(**words), values=words)

    def __str__(self) -> str:
        return f"{self.about}: {self.text}" if self.about else self.text
