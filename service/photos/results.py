"""What captioning and Stage-A return, before it is written for the wire."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from service.models.roles import ServedModel
from vqc.errors import VqcError
from vqc.image import CanonicalPhoto
from vqc.missions import Mission
from vqc.parser import CaptionOutcome, Status
from vqc.summary import SummaryOutcome


class ParsedAnswer(Protocol):
    """What every parser of answers returns. ``notes`` list the repairs, or why the answer is malformed."""

    @property
    def status(self) -> Status:
        """Whether the answer could be parsed."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """The repairs."""
        ...


OutcomeT = TypeVar("OutcomeT", bound=ParsedAnswer)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """Milliseconds spent reading the photo and waiting for the engine."""

    photo_ms: float
    engine_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoAnswer(Generic[OutcomeT]):
    """The engine's answer about one photo; its outcome is never malformed.

    ``cached``: it was generated for an earlier request, which its tokens were spent on.
    """

    photo: CanonicalPhoto
    outcome: OutcomeT
    prompt_tokens: int
    completion_tokens: int
    cached: bool
    timings: Timings


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptionStart:
    """The photo of a streamed caption, and the model that is about to caption it."""

    model: ServedModel
    photo: CanonicalPhoto


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptionResult:
    """The caption of one photo, and the model that wrote it."""

    model: ServedModel
    prompt_digest: str
    answer: PhotoAnswer[CaptionOutcome]


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoFailure:
    """Why one photo of several has no line; the others have theirs."""

    error: VqcError


@dataclass(frozen=True, slots=True, kw_only=True)
class StageAResult:
    """One entry per photo, in the order given; one model wrote them all."""

    model: ServedModel
    photos: tuple[PhotoAnswer[SummaryOutcome] | PhotoFailure, ...]
    mission: Mission
    prompt_digest: str
