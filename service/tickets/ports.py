"""The ports of the ticket use cases besides the store: the job queue, and the observer that measures them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from service.judging.judge_ticket import Wave
from service.tickets.ticket import Outcome, State
from vqc.verdict import Verdict

JUDGE = "judge"
NOTIFY = "notify"
"""The names of the two kinds of jobs on the queue."""

AttemptEnd = Literal["finished", "failed", "given_back", "superseded"]
TicketStage = Literal["stage_a", "stage_b"]


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueDepth:
    """The jobs on the queue: not yet delivered (``lag``), with a worker (``pending``), due later (``delayed``).

    ``unreadable`` counts what was found on the queue and is no job of ours; it is set aside.
    """

    lag: int
    pending: int
    delayed: int
    unreadable: int = 0


class JobQueue(Protocol):
    """Delivers each job to one worker at a time until it is acknowledged. A job carries an id only.

    Every call raises ``QueueUnavailable`` when the queue does not answer.
    """

    async def judge(self, job_id: str) -> None:
        """Queues the judging of a ticket's run. A job that is already on the queue is left as it is."""
        ...

    async def notify(self, job_id: str, *, again: bool = False) -> None:
        """Queues the webhook of a ticket's finished run, likewise; ``again`` also if it has been on the queue before."""
        ...

    async def requeue(self, job_id: str) -> None:
        """Queues the judging of a run whose worker is lost. An older job of the run has no effect from now on."""
        ...

    async def requeue_lost(self, job_ids: Sequence[str], *, held_s: float) -> int:
        """Queues the judging of those runs, all of which wait for a worker, whose job the queue has lost; their number.

        A job that one worker has had for ``held_s`` is lost with that worker.
        """
        ...

    async def renotify_lost(self, job_ids: Sequence[str], *, held_s: float) -> int:
        """Queues the webhooks of those runs whose job the queue has lost, likewise; their number."""
        ...

    async def repair(self) -> int:
        """Sets aside what keeps the queue from delivering and is no job of ours; returns its number."""
        ...

    async def probe(self) -> None:
        """Returns when the queue accepts what a new job writes. Leaves nothing behind."""
        ...

    async def depth(self) -> QueueDepth:
        """The length of the queue."""
        ...


class TicketObserver:
    """Records what happens to tickets. This base class records nothing. All durations are in seconds."""

    def record_accepted(self) -> None:
        """A new ticket was accepted."""

    def record_attempt(self, end: AttemptEnd, seconds: float) -> None:
        """A worker's attempt at a ticket ended."""

    def record_finished(self, state: State, verdict: Verdict | None, seconds: float) -> None:
        """A run has its final record, ``seconds`` after the ticket was accepted."""

    def record_wait(self, seconds: float) -> None:
        """A ticket was claimed for the first time, ``seconds`` after it was accepted."""

    def record_samples(self, taken: int, planned: int) -> None:
        """A ticket was judged from ``taken`` of the ``planned`` samples."""

    def record_stage(self, stage: TicketStage, seconds: float) -> None:
        """A ticket's photos have their lines (``stage_a``), or its verdicts are sampled and judged (``stage_b``)."""

    def record_wave(self, wave: Wave) -> None:
        """An engine request returned its verdicts."""

    def record_verdict(self, mission: str, outcome: Outcome) -> None:
        """A ticket was judged: released, or sent to review."""

    def record_review(self, before: State, machine: Verdict | None, person: Verdict, seconds: float) -> None:
        """A person decided, ``seconds`` after judging ended. ``before`` is the state of the ticket until then."""

    def record_webhook(self, *, delivered: bool) -> None:
        """A webhook was delivered, or an attempt to deliver it failed."""
