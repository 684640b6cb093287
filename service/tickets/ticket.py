"""A submitted ticket (a ticket of photos) on its way to a verdict: its record, its states and what may follow what.

Every method is pure: it checks the state machine and returns the next record. Who stores it does so by compare-and-set,
so that the machine holds between processes too. A worker's writes carry the ``fence`` that its claim gave it; a later
claim has a higher one, and whoever is behind learns it by ``Superseded``.
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
"""Most photos of one ticket."""
MAX_SHOWN_PHOTOS = 16
"""Most photos that the model is shown at once, where images are evidence."""


class State(StrEnum):
    """Where a ticket is."""

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
"""What may follow what. Running to running: another worker takes over from one that died. Reviewed to needs_review or decided:
the decision was taken back, and the ticket is what judging made of it."""

ACTIVE = frozenset({State.QUEUED, State.RUNNING})
"""States in which a worker still has something to do; every other state ends the run with one final record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketPhoto:
    """One photo of a ticket: its canonical bytes in the blob store (``digest``), its Stage-A line, or both.

    ``given`` says that the line came with the ticket. ``problem`` says why there is no line.
    """

    image_id: str
    name: str | None = None
    digest: str | None = None
    media_type: str | None = None
    summary: str | None = None
    given: bool = False
    problem: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pinned:
    """What a ticket is judged with from its first claim to its end: checkpoint, guidance version, sampling plan."""

    model_alias: str
    model_digest: str
    guidance: str
    sampler: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What judging came to. ``review_reasons`` is empty exactly when the verdict stands without a person.

    ``trajectories`` and the scores in ``selection`` are spelled like the training-free loop's artifacts.
    """

    verdict: Verdict | None
    reason: str | None
    score: float | None
    vote_share: float
    threshold: float | None
    review_reasons: tuple[str, ...]
    selection: JsonObject
    trajectories: tuple[JsonObject, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why an attempt, or the whole run, came to nothing. ``kind`` is the error's name."""

    kind: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """A person's decision. ``reviewer`` is the id of the API key that it came with, ``name`` what the caller wrote.

    ``verdict`` None: the decision before was taken back.
    """

    verdict: Verdict | None
    name: str
    note: str
    reviewer: str | None
    at: datetime
    replaced: Verdict | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """The record of one ticket. ``attempts`` counts the claims of this ``run``, given-back ones taken off again."""

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
    pinned: Pinned | None = None
    rollouts: tuple[JsonObject, ...] = ()
    outcome: Outcome | None = None
    failure: Failure | None = None
    reviews: tuple[Review, ...] = field(default=())
    finished_at: datetime | None = None

    @property
    def job_id(self) -> str:
        """The name of this run's job on the queue."""
        return f"{self.id}.{self.run}"

    @property
    def finished(self) -> bool:
        """Whether this run has its final record."""
        return self.state not in ACTIVE

    @property
    def revision(self) -> int:
        """How many decisions there were: who decides names the one that they looked at, so that nobody overwrites another."""
        return len(self.reviews)

    @property
    def verdict(self) -> Verdict | None:
        """The verdict in force: the last person's, else the machine's if it stands, else none yet."""
        if self.reviews and self.state is State.REVIEWED:
            return self.reviews[-1].verdict
        return self.outcome.verdict if self.outcome and self.state is State.DECIDED else None

    def claimed(self) -> Ticket:
        """A worker begins or takes over: a new fence, one attempt more."""
        return self._to(State.RUNNING, fence=self.fence + 1, attempts=self.attempts + 1)

    def pinned_to(self, fence: int, pinned: Pinned) -> Ticket:
        """Judged with ``pinned`` from now on. What another pin had brought is dropped, lines that came along are kept."""
        self._check(fence)
        if self.pinned is None or self.pinned == pinned:
            return replace(self, pinned=pinned)
        photos = tuple(photo if photo.given else replace(photo, summary=None, problem=None) for photo in self.photos)
        return replace(self, pinned=pinned, photos=photos, rollouts=())

    def summarised(self, fence: int, photos: tuple[TicketPhoto, ...]) -> Ticket:
        """Every photo has its line, or the reason why not."""
        self._check(fence)
        return replace(self, photos=photos)

    def sampled(self, fence: int, rollouts: tuple[JsonObject, ...]) -> Ticket:
        """One more wave is saved; ``rollouts`` are the records of all of the run so far."""
        self._check(fence)
        return replace(self, rollouts=rollouts)

    def judged(self, fence: int, outcome: Outcome, at: datetime) -> Ticket:
        """The final record: a verdict that stands, or one for a person to look at."""
        self._check(fence)
        state = State.NEEDS_REVIEW if outcome.review_reasons else State.DECIDED
        return self._to(state, outcome=outcome, failure=None, finished_at=at)

    def attempt_failed(self, fence: int, failure: Failure) -> Ticket:
        """Back to the queue after a failed attempt, which counts."""
        self._check(fence)
        return self._to(State.QUEUED, failure=failure)

    def given_back(self, fence: int) -> Ticket:
        """Back to the queue because the worker leaves: the attempt does not count."""
        self._check(fence)
        return self._to(State.QUEUED, attempts=self.attempts - 1)

    def failed(self, fence: int, failure: Failure, at: datetime) -> Ticket:
        """The final record of a run that came to nothing: a dead letter."""
        self._check(fence)
        return self._to(State.FAILED, failure=failure, finished_at=at)

    def cancelled(self, at: datetime) -> Ticket:
        """The final record of a run that the caller ended; whoever works on it is superseded."""
        return self._to(State.CANCELLED, fence=self.fence + 1, finished_at=at)

    def retried(self) -> Ticket:
        """A new run after a failed or cancelled one; lines and rollouts that were saved are used again."""
        return self._to(State.QUEUED, run=self.run + 1, attempts=0, failure=None, outcome=None, finished_at=None)

    def reviewed(self, review: Review) -> Ticket:
        """A person's decision is in force, or none any more. Earlier ones stay in the record."""
        if review.verdict is not None:
            return self._to(State.REVIEWED, reviews=(*self.reviews, review))
        if self.state is not State.REVIEWED or self.outcome is None:
            raise TicketStateConflict(self.id, self.state.value, "not reviewed", [State.REVIEWED.value])
        before = State.NEEDS_REVIEW if self.outcome.review_reasons else State.DECIDED
        return self._to(before, reviews=(*self.reviews, review))

    def _check(self, fence: int) -> None:
        if self.state is not State.RUNNING or self.fence != fence:
            raise Superseded(self.id, fence)

    def _to(self, state: State, **changes: object) -> Ticket:
        if state not in TRANSITIONS[self.state]:
            raise TicketStateConflict(self.id, self.state.value, state.value, sorted(TRANSITIONS[self.state]))
        return replace(self, state=state, **changes)  # type: ignore[arg-type]


def id_at(moment: datetime, suffix: str = "") -> str:
    """An id that sorts by its moment (to the microsecond); ``suffix`` makes it one of a kind.

    >>> from datetime import UTC
    >>> id_at(datetime(2026, 11, 22, tzinfo=UTC), "af")
    '0660d2288d2000af'
    """
    return f"{round(moment.timestamp() * 1_000_000):014x}{suffix}"


def moment_of(id: str) -> datetime:
    """The moment that ``id_at`` made an id of.

    >>> from datetime import UTC
    >>> moment_of("0660d2288d2000af") == datetime(2026, 11, 22, tzinfo=UTC)
    True
    """
    return datetime.fromtimestamp(int(id[:14], 16) / 1_000_000, UTC)
