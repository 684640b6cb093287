"""What the training-free loop needs of the outside: a journal to resume from, artifacts to write, photos to read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from service.guidance.guidance import Guidance
from service.judging.records import Record
from service.learning.labelled_tickets import LabelledTicket
from vqc.image import EncodedPhoto
from vqc.missions import Mission

LoadPhotos = Callable[[LabelledTicket], Awaitable[tuple[EncodedPhoto, ...]]]
"""Brings a ticket's photos, canonical. Raises ``InvalidValue`` for one that cannot be used."""

Progress = Callable[[str, int, int], None]
"""Hears (what is being done, done, of) as tickets are finished."""


class Journal(Protocol):
    """Every answer that the engine gave in this run, kept the moment it came: a resumed run asks for none again."""

    def rollouts(self, key: str) -> Sequence[Mapping[str, object]]:
        """The records of the rollouts kept under a key, none if there are none."""
        ...

    def keep_rollouts(self, key: str, records: Sequence[Mapping[str, object]]) -> None:
        """Adds records under a key."""
        ...

    def answer(self, key: str) -> str | None:
        """The answer kept under a key."""
        ...

    def keep_answer(self, key: str, text: str) -> None:
        """Keeps an answer under a key."""
        ...


class Artifacts(Protocol):
    """What a run leaves behind. Every call is in a fixed order: the same answers give the same bytes."""

    def trajectory(self, mission: Mission, record: Record) -> None:
        """One candidate."""
        ...

    def selection(self, mission: Mission, record: Record) -> None:
        """One ticket's outcome."""
        ...

    def reflection(self, mission: Mission, record: Record) -> None:
        """One proposal, made or refused."""
        ...

    def guidance(self, mission: Mission, before: Guidance, after: Guidance, note: str) -> None:
        """A change that came into force for the rest of the run."""
        ...
