"""Submitted tickets over the wire."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, Self

from pydantic import AwareDatetime, Field, model_validator

from service.judging.sampler import EvidenceKind
from service.tickets.ticket import MAX_TICKET_PHOTOS, State, Ticket
from service.web.schemas import ModelOut, Wire
from vqc.verdict import Verdict

PRINTABLE = r"^[\x21-\x7e]+$"
"""What an Idempotency-Key is made of."""


class TicketPhotoIn(Wire):
    """One photo of a ticket: the photo (base64 or URL), its Stage-A line, or both."""

    name: str | None = Field(None, max_length=255, description="A name of your own; in multipart, that of the file.")
    base64: str | None = Field(None, description="The encoded photo (JPEG, PNG, WebP) in standard base64.")
    url: str | None = Field(None, max_length=2048, description="An https URL of an allow-listed host.")
    summary: str | None = Field(None, max_length=4096, description="Its Stage-A line; without one it is written here.")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.base64 is not None and self.url is not None:
            raise ValueError("give base64 or url, not both")
        return self


class TicketIn(Wire):
    """A ticket to judge. In multipart it is the part ``group``, and the photos are the files ``photos``."""

    mission: str = Field(description="The exact name of a mission.")
    photos: list[TicketPhotoIn] = Field(default_factory=list, max_length=MAX_TICKET_PHOTOS)
    ticket_id: str | None = Field(None, min_length=1, max_length=128, description="Your own name of the ticket.")
    evidence: EvidenceKind | None = Field(None, description="What the model is shown; the service has a default.")
    webhook: str | None = Field(
        None, max_length=2048, description="An https URL of an allow-listed host that is told of the final record."
    )


class ReviewIn(Wire):
    """A person's decision."""

    verdict: Verdict | None = Field(description="null takes the last decision back.")
    name: str = Field(min_length=1, max_length=128, description="Who decides.")
    note: str = Field("", max_length=2000)
    revision: int | None = Field(
        None, ge=0, description="The ticket's ``revision`` that was looked at; 409 when another is in force by now."
    )


class TicketPhotoOut(Wire):
    """One photo of a ticket."""

    image_id: str = Field(description="image_1 to image_n, in the order given.")
    name: str | None
    digest: str | None = Field(description="SHA-256 of the canonical photo; null for a summary alone.")
    summary: str | None
    given: bool = Field(description="Whether the summary came with the ticket.")
    problem: str | None = Field(description="Why there is no summary.")


class FailureOut(Wire):
    """Why the last attempt, or the run, came to nothing."""

    kind: str
    detail: str


class ReviewOut(Wire):
    """A decision, kept for good. ``reviewer`` is the id of the API key, ``replaced`` the verdict before.

    ``verdict`` null: the decision before was taken back.
    """

    verdict: Verdict | None
    name: str
    note: str
    reviewer: str | None
    at: datetime
    replaced: Verdict | None


class TicketOut(Wire):
    """A ticket as it is now. ``verdict`` is the one in force; null until there is one."""

    id: str
    ticket_id: str | None
    mission: str
    evidence: EvidenceKind
    state: State
    verdict: Verdict | None
    reason: str | None = Field(description="The chosen rollout's reason.")
    machine_verdict: Verdict | None = Field(description="What was selected, released or not.")
    score: float | None = Field(description="semantic_advantage of the chosen rollout.")
    vote_share: float | None
    threshold: float | None = Field(description="From which score a 通过 is released; null without a calibration.")
    review_reasons: list[str]
    model: ModelOut | None
    guidance: str | None = Field(description="Digest of the guidance version it is judged under.")
    photos: list[TicketPhotoOut]
    selection: dict[str, Any] | None
    rollouts: list[dict[str, Any]] = Field(description="Every sampled verdict with its scores.")
    failure: FailureOut | None
    reviews: list[ReviewOut]
    revision: int = Field(description="How many decisions there were; a review may name the one that it saw.")
    webhook: str | None
    run: int = Field(description="1, and one more for each retry.")
    attempts: int = Field(description="Attempts of this run that count.")
    accepted_at: AwareDatetime
    finished_at: AwareDatetime | None


class TicketBrief(Wire):
    """A ticket in a list."""

    id: str
    ticket_id: str | None
    mission: str
    state: State
    verdict: Verdict | None
    machine_verdict: Verdict | None
    review_reasons: list[str]
    failure: FailureOut | None
    accepted_at: AwareDatetime
    finished_at: AwareDatetime | None


class TicketsOut(Wire):
    """Some tickets in a state, oldest first."""

    state: State
    total: int
    groups: list[TicketBrief]
    next: str | None = Field(description="The path of the next page; null on the last.")


class TicketsQuery(Wire):
    """The query of ``GET /stage-b/groups``."""

    state: State = Field(
        State.NEEDS_REVIEW, description="needs_review is the manual-review queue, failed the dead letters."
    )
    limit: int = Field(50, ge=1, le=200)
    after: str | None = Field(None, pattern="^[0-9a-f]{1,64}$", description="As ``next`` has it.")


class TicketEventOut(Wire):
    """One server-sent event of a ticket: ``event`` is its name, ``id`` resumes behind it."""

    id: str
    event: Literal[
        "accepted", "started", "pinned", "stage_a", "wave", "waiting", "retrying", "given_back", "finished",
        "retried", "reviewed", "webhook_delivered", "webhook_failed",
    ]  # fmt: skip
    data: dict[str, Any]


def ticket_out(ticket: Ticket) -> TicketOut:
    """A record as it goes over the wire."""
    outcome, pinned = ticket.outcome, ticket.pinned
    return TicketOut(
        id=ticket.id,
        ticket_id=ticket.ticket_id,
        mission=ticket.mission,
        evidence=ticket.evidence,
        state=ticket.state,
        verdict=ticket.verdict,
        reason=outcome.reason if outcome else None,
        machine_verdict=outcome.verdict if outcome else None,
        score=outcome.score if outcome else None,
        vote_share=outcome.vote_share if outcome else None,
        threshold=outcome.threshold if outcome else None,
        review_reasons=list(outcome.review_reasons) if outcome else [],
        model=ModelOut(alias=pinned.model_alias, digest=pinned.model_digest) if pinned else None,
        guidance=pinned.guidance if pinned else None,
        photos=[
            TicketPhotoOut(
                image_id=photo.image_id,
                name=photo.name,
                digest=photo.digest,
                summary=photo.summary,
                given=photo.given,
                problem=photo.problem,
            )
            for photo in ticket.photos
        ],
        selection=dict(outcome.selection) if outcome else None,
        rollouts=[dict(one) for one in outcome.trajectories] if outcome else [],
        failure=_failure_out(ticket),
        reviews=[
            ReviewOut(
                verdict=review.verdict,
                name=review.name,
                note=review.note,
                reviewer=review.reviewer,
                at=review.at,
                replaced=review.replaced,
            )
            for review in ticket.reviews
        ],
        revision=ticket.revision,
        webhook=ticket.webhook,
        run=ticket.run,
        attempts=ticket.attempts,
        accepted_at=ticket.accepted_at,
        finished_at=ticket.finished_at,
    )


def ticket_brief(ticket: Ticket) -> TicketBrief:
    """A record in a list."""
    outcome = ticket.outcome
    return TicketBrief(
        id=ticket.id,
        ticket_id=ticket.ticket_id,
        mission=ticket.mission,
        state=ticket.state,
        verdict=ticket.verdict,
        machine_verdict=outcome.verdict if outcome else None,
        review_reasons=list(outcome.review_reasons) if outcome else [],
        failure=_failure_out(ticket),
        accepted_at=ticket.accepted_at,
        finished_at=ticket.finished_at,
    )


def _failure_out(ticket: Ticket) -> FailureOut | None:
    return FailureOut(kind=ticket.failure.kind, detail=ticket.failure.detail) if ticket.failure else None
