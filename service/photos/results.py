"""What the use cases answer, before anyone decides how to write it."""

from __future__ import annotations

from dataclasses import dataclass

from service.models.roles import ServedModel
from vqc.errors import VqcError
from vqc.image import CanonicalPhoto
from vqc.parser import CaptionOutcome
from vqc.summary import SummaryOutcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """Milliseconds spent reading the photo and waiting for the engine."""

    photo_ms: float
    engine_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptionResult:
    """The caption of one photo, and the model that wrote it. ``outcome.caption`` is never None here.

    ``cached``: it was written for another request, and cost its tokens there.
    """

    model: ServedModel
    photo: CanonicalPhoto
    outcome: CaptionOutcome
    prompt_digest: str
    prompt_tokens: int
    completion_tokens: int
    cached: bool
    timings: Timings


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptionBegun:
    """The photo of a streamed caption as read, and the model that will write the caption."""

    model: ServedModel
    photo: CanonicalPhoto


@dataclass(frozen=True, slots=True, kw_only=True)
class SummaryResult:
    """The Stage-A line of one photo."""

    photo: CanonicalPhoto
    outcome: SummaryOutcome
    prompt_tokens: int
    completion_tokens: int
    cached: bool
    timings: Timings


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoFailure:
    """Why one photo of several has no line; the others have theirs."""

    error: VqcError


@dataclass(frozen=True, slots=True, kw_only=True)
class StageAResult:
    """One entry per photo, in the order given; one model wrote them all."""

    model: ServedModel
    photos: tuple[SummaryResult | PhotoFailure, ...]
    prompt_digest: str
