"""The wire format of submitted tickets."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, Self

from pydantic import AwareDatetime, Field, model_validator

from service.judging.sampler import EvidenceKind
from service.tickets.ticket import MAX_TICKET_PHOTOS, State, Ticket
from service.web.schemas import ModelOut, Wire
from vqc.verdict import Verdict

PRINTABLE = r"^[\x21-\x7e]+$"
"""The characters of an Idempotency-Key."""


class TicketPhotoIn(Wire):
    """One photo of a ticket: the picture (base64 or URL), its Stage-A line, or both."""

    name: str | None = Field(None, max_length=255, description="Your name for the photo; in multipart, the file name.")
    base64: str | None = Field(None, description="The encoded photo (JPEG, PNG, WebP, AVIF, HEIC) in standard base64.")
    url: str | None = Field(None, max_length=2048, description="An HTTPS URL on an allowed host.")
    summary: str | None = Field(
        None, max_length=4096, description="The Stage-A line. Without one, the service writes it."
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.base64 is not None and self.url is not None:
            raise ValueError("must have base64 or url, not both")
        return self


class TicketIn(Wire):
    """A ticket to judge. In multipart, this is the part ``group`` and the photos are the files ``photos``."""

    mission: str = Field(description="The exact name of a mission.")
    photos: list[TicketPhotoIn] = Field(default_factory=list, max_length=MAX_TICKET_PHOTOS)
    ticket_id: str | None = Field(None, min_length=1, max_length=128, description="Your name for the ticket.")
    evidence: EvidenceKind | None = Field(
        None, description="The evidence that the model sees; by default that of the service."
    )
    webhook: str | None = Field(
        None, max_length=2048, description="An HTTPS URL on an allowed host, which receives the final record."
    )


class ReviewIn(Wire):
    """A person's decision."""

    verdict: Verdict | None = Field(description="null withdraws the last decision.")
    name: str = Field(
        "",
        max_length=128,
        description="The name of the person who decides, if the service has no keys. With a key, the record has its holder.",
    )
    note: str = Field("", max_length=2000)
    revision: int | None = Field(
        None, ge=0, description="The ``revision`` that the person saw; 409 if the ticket has another one by now."
    )


class TicketPhotoOut(Wire):
    """One photo of a ticket."""

    image_id: str = Field(description="image_1 to image_n, in the order of submission.")
    name: str | None
    digest: str | None = Field(description="SHA-256 of the photo as it came; null without a picture.")
    summary: str | None
    given: bool = Field(description="True if the summary was submitted with the ticket.")
    problem: str | None = Field(description="The reason why there is no summary.")


class FailureOut(Wire):
    """The error of the last attempt or of the run."""

    kind: str
    detail: str


class ReviewOut(Wire):
    """A decision in the record. ``reviewer`` is the id of the API key, ``replaced`` the verdict before.

    ``verdict`` null withdrew the decision before.
    """

    verdict: Verdict | None
    name: str
    note: str
    reviewer: str | None
    at: datetime
    replaced: Verdict | None


class TicketOut(Wire):
    """A ticket. ``verdict`` is the released or reviewed one, null until there is one."""

    id: str
    ticket_id: str | None
    mission: str
    evidence: EvidenceKind
    state: State
    verdict: Verdict | None
    reason: str | None = Field(description="The reason of the selected rollout.")
    machine_verdict: Verdict | None = Field(description="The selected verdict, released or not.")
    score: float | None = Field(description="The semantic_advantage of the selected rollout.")
    vote_share: float | None
    threshold: float | None = Field(
        description="The lowest score at which a 通过 is released; null without a calibration."
    )
    review_reasons: list[str]
    missing: list[str] = Field(description="The required key items that no line shows, if that holds a 通过 back.")
    model: ModelOut | None
    guidance: str | None = Field(description="The digest of the guidance version.")
    photos: list[TicketPhotoOut]
    selection: dict[str, Any] | None
    rollouts: list[dict[str, Any]] = Field(description="Every rollout with its scores.")
    failure: FailureOut | None
    reviews: list[ReviewOut]
    revision: int = Field(description="The number of decisions; a review may name the one it has seen.")
    webhook: str | None
    run: int = Field(description="The number of the run: 1, and one more per retry.")
    attempts: int = Field(description="The attempts of this run, without released ones.")
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

    state: State = Field(State.NEEDS_REVIEW, description="needs_review is the review queue, failed the dead letters.")
    limit: int = Field(50, ge=1, le=200)
    after: str | None = Field(None, pattern="^[0-9a-f]{1,64}$", description="The value in ``next`` of the page before.")


class TicketEventOut(Wire):
    """One server-sent event of a ticket: its name, and the id from which a client resumes."""

    id: str
    event: Literal[
        "accepted", "started", "pinned", "stage_a", "wave", "waiting", "retrying", "given_back", "finished",
        "retried", "reviewed", "webhook_delivered", "webhook_failed",
    ]  # fmt: skip
    data: dict[str, Any]


def ticket_out(ticket: Ticket) -> TicketOut:
    """The wire form of a record."""
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
        missing=list(outcome.missing) if outcome else [],
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
    """The wire form of a record in a list."""
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
