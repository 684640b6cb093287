"""A submitted ticket: its record, its states and the transitions between them.

Every method is pure: it checks the state machine and returns the next record. Stores save it by compare-and-set, so that
the machine also holds between processes. A worker's writes carry the ``fence`` of its claim; a later claim has a higher
fence, and a write with an older one raises ``Superseded``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum

from service.judging.sampler import EvidenceKind
from service.platform.errors import Superseded, TicketStateConflict
from vqc.verdict import Verdict

JsonObject = Mapping[str, object]
MAX_TICKET_PHOTOS = 32
"""The most photos of one ticket."""
MAX_SHOWN_PHOTOS = 16
"""The most photos of a ticket whose evidence includes images."""


class State(StrEnum):
    """The state of a ticket."""

    QUEUED = "queued"
    RUNNING = "running"
    DECIDED = "decided"
    NEEDS_REVIEW = "needs_review"
    REVIEWED = "reviewed"
    CANCELLED = "cancelled"
    FAILED = "failed"


TRANSITIONS: Mapping[State, frozenset[State]] = {
    State.QUEUED: frozenset({State.RUNNING, State.CANCELLED}),
    State.RUNNING: frozenset(
        {State.RUNNING, State.QUEUED, State.DECIDED, State.NEEDS_REVIEW, State.FAILED, State.CANCELLED}
    ),
    State.DECIDED: frozenset({State.REVIEWED}),
    State.NEEDS_REVIEW: frozenset({State.REVIEWED}),
    State.REVIEWED: frozenset({State.REVIEWED, State.NEEDS_REVIEW, State.DECIDED}),
    State.CANCELLED: frozenset({State.QUEUED}),
    State.FAILED: frozenset({State.QUEUED}),
}
"""The states that may follow each state. Running to running: another worker takes over from one that died. Reviewed to
needs_review or decided: the decision was withdrawn, and the ticket returns to the state that judging gave it."""

ACTIVE = frozenset({State.QUEUED, State.RUNNING})
"""The states with work left for a worker. Every other state ends the run with one final record."""

UNDECIDED = ACTIVE | {State.NEEDS_REVIEW}
"""The states that wait for a worker or a person. Retention never deletes such a ticket or its photos."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketPhoto:
    """One photo of a ticket: its bytes as they came in the blob store (``digest``), its Stage-A line, or both.

    ``given`` marks a line that was submitted with the ticket. ``problem`` is the reason why there is no line.
    """

    image_id: str
    name: str | None = None
    digest: str | None = None
    media_type: str | None = None
    summary: str | None = None
    given: bool = False
    problem: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedWith:
    """The versions that a ticket is judged with, from its first claim to its end: checkpoint, guidance, sampler."""

    model_alias: str
    model_digest: str
    guidance: str
    sampler: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The result of judging. ``review_reasons`` is empty exactly when the verdict is released without a review.

    ``missing`` are the required key items that no line shows, where that holds a 通过 back. ``trajectories`` and the scores in
    ``selection`` have the format of the training-free loop's artifacts.
    """

    verdict: Verdict | None
    reason: str | None
    score: float | None
    vote_share: float
    threshold: float | None
    review_reasons: tuple[str, ...]
    selection: JsonObject
    trajectories: tuple[JsonObject, ...]
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """The error that ended an attempt or the run. ``kind`` is its class name."""

    kind: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """A person's decision. ``reviewer`` is the id of the API key, ``name`` the name that the caller gave.

    ``verdict`` None withdraws the decision before.
    """

    verdict: Verdict | None
    name: str
    note: str
    reviewer: str | None
    at: datetime
    replaced: Verdict | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """The record of one ticket. ``ticket_id`` is the caller's own name for it, ``id`` the service's.

    ``attempts`` counts the claims of this ``run``, without those that were released.
    """

    id: str
    mission: str
    evidence: EvidenceKind
    photos: tuple[TicketPhoto, ...]
    accepted_at: datetime
    ticket_id: str | None = None
    webhook: str | None = None
    submitted_by: str | None = None
    state: State = State.QUEUED
    run: int = 1
    fence: int = 0
    attempts: int = 0
    pinned: JudgedWith | None = None
    rollouts: tuple[JsonObject, ...] = ()
    outcome: Outcome | None = None
    failure: Failure | None = None
    reviews: tuple[Review, ...] = field(default=())
    finished_at: datetime | None = None

    @property
    def job_id(self) -> str:
        """The id of this run's job on the queue."""
        return f"{self.id}.{self.run}"

    @property
    def is_finished(self) -> bool:
        """Whether this run has its final record."""
        return self.state not in ACTIVE

    @property
    def revision(self) -> int:
        """The number of decisions. A review may name the one it has seen, so that it overwrites no later one."""
        return len(self.reviews)

    @property
    def verdict(self) -> Verdict | None:
        """The current verdict: the last reviewer's, or the machine's if it was released, or None."""
        if self.reviews and self.state is State.REVIEWED:
            return self.reviews[-1].verdict
        return self.outcome.verdict if self.outcome and self.state is State.DECIDED else None

    def claim(self) -> Ticket:
        """A worker starts or takes over: a new fence, and one more attempt."""
        return self._to(State.RUNNING, fence=self.fence + 1, attempts=self.attempts + 1)

    def require_claim(self, fence: int) -> Ticket:
        """The record, unchanged. Raises ``Superseded`` unless the claim with this fence is active."""
        if self.state is not State.RUNNING or self.fence != fence:
            raise Superseded(self.id, fence)
        return self

    def pin(self, fence: int, pinned: JudgedWith) -> Ticket:
        """Pins the versions to judge with. Other versions drop the saved lines and rollouts, but not the submitted lines."""
        self.require_claim(fence)
        if self.pinned is None or self.pinned == pinned:
            return replace(self, pinned=pinned)
        photos = tuple(photo if photo.given else replace(photo, summary=None, problem=None) for photo in self.photos)
        return replace(self, pinned=pinned, photos=photos, rollouts=())

    def with_lines(self, fence: int, photos: tuple[TicketPhoto, ...]) -> Ticket:
        """Saves the photos with their lines, or with the reason why there is none."""
        self.require_claim(fence)
        return replace(self, photos=photos)

    def with_rollouts(self, fence: int, rollouts: tuple[JsonObject, ...]) -> Ticket:
        """Saves the records of all rollouts of the run so far."""
        self.require_claim(fence)
        return replace(self, rollouts=rollouts)

    def with_outcome(self, fence: int, outcome: Outcome, at: datetime) -> Ticket:
        """The final record of a judged ticket: released, or waiting for a review."""
        self.require_claim(fence)
        state = State.NEEDS_REVIEW if outcome.review_reasons else State.DECIDED
        return self._to(state, outcome=outcome, failure=None, finished_at=at)

    def requeue(self, fence: int, failure: Failure) -> Ticket:
        """Back to the queue after a failed attempt, which counts."""
        self.require_claim(fence)
        return self._to(State.QUEUED, failure=failure)

    def release(self, fence: int) -> Ticket:
        """Back to the queue because the worker stops; the attempt does not count."""
        self.require_claim(fence)
        return self._to(State.QUEUED, attempts=self.attempts - 1)

    def fail(self, fence: int, failure: Failure, at: datetime) -> Ticket:
        """The final record of a failed run: a dead letter."""
        self.require_claim(fence)
        return self._to(State.FAILED, failure=failure, finished_at=at)

    def cancel(self, at: datetime) -> Ticket:
        """The final record of a run that the caller cancelled. The new fence supersedes a worker that is running it."""
        return self._to(State.CANCELLED, fence=self.fence + 1, finished_at=at)

    def retry(self) -> Ticket:
        """A new run after a failed or cancelled one. It continues from the saved lines and rollouts."""
        return self._to(State.QUEUED, run=self.run + 1, attempts=0, failure=None, outcome=None, finished_at=None)

    def with_review(self, review: Review) -> Ticket:
        """Adds a person's decision, or its withdrawal. Earlier decisions stay in the record."""
        if review.verdict is not None:
            return self._to(State.REVIEWED, reviews=(*self.reviews, review))
        if self.state is not State.REVIEWED or self.outcome is None:
            raise TicketStateConflict(self.id, self.state.value, "not reviewed", [State.REVIEWED.value])
        before = State.NEEDS_REVIEW if self.outcome.review_reasons else State.DECIDED
        return self._to(before, reviews=(*self.reviews, review))

    def _to(self, state: State, **changes: object) -> Ticket:
        if state not in TRANSITIONS[self.state]:
            raise TicketStateConflict(self.id, self.state.value, state.value, sorted(TRANSITIONS[self.state]))
        return replace(self, state=state, **changes)  # type: ignore[arg-type]


def id_at(moment: datetime, suffix: str = "") -> str:
    """An id that sorts by its time (to the microsecond). A random ``suffix`` makes it unique.

    >>> from datetime import UTC
    >>> id_at(datetime(2026, 11, 22, tzinfo=UTC), "af")
    '0660d2288d2000af'
    """
    return f"{round(moment.timestamp() * 1_000_000):014x}{suffix}"


def moment_of(id: str) -> datetime:
    """The time encoded in an id; the inverse of ``id_at``.

    >>> from datetime import UTC
    >>> moment_of("0660d2288d2000af") == datetime(2026, 11, 22, tzinfo=UTC)
    True
    """
    return datetime.fromtimestamp(int(id[:14], 16) / 1_000_000, UTC)
