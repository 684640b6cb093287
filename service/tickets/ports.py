"""What the ticket use cases need besides the store: a queue, guidance, thresholds, a way to tell others, a watcher."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from service.guidance.guidance import Guidance
from service.judging.calibration import Calibration
from service.judging.judge_ticket import Wave
from service.tickets.ticket import Outcome, State, Ticket
from vqc.missions import Mission
from vqc.verdict import Verdict

JUDGE = "judge"
NOTIFY = "notify"
"""The two kinds of jobs, as the queue names them."""

AttemptEnd = Literal["finished", "failed", "given_back", "superseded"]
TicketStage = Literal["stage_a", "stage_b"]


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueDepth:
    """Jobs on the queue: not yet given to a worker (``lag``), with a worker (``pending``), to be given later (``delayed``)."""

    lag: int
    pending: int
    delayed: int


class JobQueue(Protocol):
    """Gives each job to one worker at a time until it says that it is done. Carries ids only.

    Every call raises ``QueueUnavailable`` when the queue does not answer.
    """

    async def judge(self, job_id: str) -> None:
        """Queues the judging of a ticket's run; a job that is on the queue already stays as it is."""
        ...

    async def notify(self, job_id: str) -> None:
        """Queues the webhook of a ticket's finished run, likewise."""
        ...

    async def depth(self) -> QueueDepth:
        """How long the queue is."""
        ...


class GuidanceSource(Protocol):
    """The guidance versions of the missions."""

    def in_force(self, mission: Mission) -> Guidance:
        """The version for new tickets."""
        ...

    def version(self, mission: Mission, digest: str) -> Guidance:
        """One version by its digest. Raises ``InvalidValue``."""
        ...


class ThresholdSource(Protocol):
    """From which score on a 通过 is released."""

    def find(self, guidance: Guidance, *, model: str, sampler: str) -> Calibration | None:
        """The calibration made for exactly these (``sampler`` is its digest), or None."""
        ...


class Notifier(Protocol):
    """Tells the caller's system of a finished ticket."""

    async def __call__(self, ticket: Ticket) -> None:
        """Returns when the other side has taken it. Raises ``WebhookFailed`` or ``UrlRejected``."""
        ...

    def check(self, url: str) -> None:
        """Raises ``UrlRejected`` for a URL that would not be told."""
        ...


class TicketObserver:
    """Hears of tickets as they move. Nobody listens by default; all times in seconds."""

    def accepted(self) -> None:
        """A new ticket was accepted."""

    def attempt(self, end: AttemptEnd, seconds: float) -> None:
        """A worker's attempt at a ticket ended."""

    def finished(self, state: State, verdict: Verdict | None, seconds: float) -> None:
        """A run has its final record, this long after the ticket was accepted."""

    def waited(self, seconds: float) -> None:
        """A job was claimed for the first time, this long after the ticket was accepted."""

    def samples(self, taken: int, planned: int) -> None:
        """A ticket was judged from ``taken`` of the ``planned`` samples."""

    def stage(self, stage: TicketStage, seconds: float) -> None:
        """A ticket's photos have all their lines (``stage_a``), or its verdicts are sampled and judged (``stage_b``)."""

    def wave(self, wave: Wave) -> None:
        """One engine request brought its verdicts."""

    def judged(self, mission: str, outcome: Outcome) -> None:
        """A ticket was judged: released or for a person to look at."""

    def reviewed(self, was: State, machine: Verdict | None, person: Verdict, seconds: float) -> None:
        """A person decided, so long after the machine had; ``was`` says what became of the ticket without a person."""

    def notified(self, *, delivered: bool) -> None:
        """A webhook was delivered, or one attempt at it failed."""
