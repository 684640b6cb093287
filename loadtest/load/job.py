"""What the requests of every server and kind have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from loadtest.http.connection import Reply
from loadtest.http.requests import Target
from loadtest.load.payloads import Supply
from loadtest.load.scenario import Load

_L = TypeVar("_L", bound=Load)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadJob(Generic[_L]):
    """A ``Job`` for an entry of a mix, whose answer comes whole unless it says otherwise."""

    load: _L
    target: Target
    supply: Supply

    @property
    def label(self) -> str:
        """See ``Job``."""
        return self.load.label

    def follow(self, reply: Reply) -> bytes | None:
        """Nothing."""
        return None
