"""A worker's claim on a ticket: the only way in which a worker changes a record."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import TypeVar
from uuid import uuid4

import structlog

from service.platform.errors import QueueUnavailable, UnknownTicket
from service.tickets.store import Change, Event, TicketStore, finished_event
from service.tickets.ticket import Failure, JsonObject, JudgedWith, Outcome, State, Ticket, TicketPhoto

_log = structlog.get_logger("vqc.tickets")
_T = TypeVar("_T")


class RunIsOver(Exception):
    """The run of a job has its final record, or a later run has begun."""


class TicketClaim:
    """A claim on ``ticket``, the record as this worker last saw it.

    Every write carries the claim's fence, waits while the store is unreachable, and is applied once. Every write raises
    ``Superseded`` when another worker has the ticket, or when it was cancelled.
    """

    def __init__(self, store: TicketStore, ticket: Ticket, *, store_poll_s: float) -> None:
        self.ticket = ticket
        self._store = store
        self._fence = ticket.fence
        self._store_poll_s = store_poll_s

    async def is_active(self) -> bool:
        """Renews the lease. False if another worker has the ticket, or if it was cancelled or deleted.

        A store that is unreachable counts as active: no other worker can claim the ticket there either.
        """
        try:
            if await self._store.heartbeat(self.ticket.id, self._fence):
                return True
            current = await self._store.get(self.ticket.id)
        except QueueUnavailable:
            return True
        except UnknownTicket:
            return False
        # The last save of this claim ends the run, and the store then renews no lease. Until its answer has arrived the
        # worker still counts as active, as it would otherwise discard the result that it has just saved.
        return current.is_finished and current.fence == self._fence

    async def pin_versions(self, pinned: JudgedWith) -> None:
        """Pins the versions to judge with."""
        data = {"model": {"alias": pinned.model_alias, "digest": pinned.model_digest}, "guidance": pinned.guidance}
        await self._save(lambda record: record.pin(self._fence, pinned), Event(name="pinned", data=data))

    async def save_lines(self, photos: Sequence[TicketPhoto]) -> None:
        """Saves the photos with their Stage-A lines."""
        lines = [{"image_id": one.image_id, "summary": one.summary, "problem": one.problem} for one in photos]
        event = Event(name="stage_a", data={"photos": lines})
        await self._save(lambda record: record.with_lines(self._fence, tuple(photos)), event)

    async def save_rollouts(self, rollouts: Sequence[JsonObject], progress: JsonObject) -> None:
        """Saves the rollouts of the run so far; followers receive ``progress``."""
        saved = tuple(rollouts)
        await self._save(lambda record: record.with_rollouts(self._fence, saved), Event(name="wave", data=progress))

    async def report_waiting(self, reason: str, at: datetime) -> None:
        """Reports to followers that the engine or the photo store is unavailable; the record stays as it is."""
        event = Event(name="waiting", data={"reason": reason, "at": at.isoformat()})
        await self._save(lambda record: record.require_claim(self._fence), event)

    async def finish(self, outcome: Outcome, at: datetime) -> None:
        """Saves the final record of a judged ticket."""
        verdict = None if outcome.review_reasons else outcome.verdict
        data = {"verdict": verdict, "reason": outcome.reason, "review_reasons": outcome.review_reasons}

        def change(record: Ticket) -> Change:
            final = record.with_outcome(self._fence, outcome, at)
            return final, [finished_event(final.state, final.run, at, **data)]

        await self._update(change)

    async def release(self) -> None:
        """Puts the ticket back on the queue because the worker stops; the attempt does not count."""
        await self._save(lambda record: record.release(self._fence), Event(name="given_back"))

    async def requeue(self, failure: Failure, at: datetime, *, after_s: float) -> None:
        """Puts the ticket back on the queue after a failed attempt; the next one starts in ``after_s``."""
        data = {"reason": failure.detail, "after_s": after_s, "at": at.isoformat()}
        await self._save(lambda record: record.requeue(self._fence, failure), Event(name="retrying", data=data))

    async def fail(self, failure: Failure, at: datetime) -> None:
        """Saves the final record of a failed run: a dead letter."""
        event = finished_event(State.FAILED, self.ticket.run, at, failure=failure.detail)
        await self._save(lambda record: record.fail(self._fence, failure, at), event)

    async def _save(self, change: Callable[[Ticket], Ticket], event: Event) -> None:
        await self._update(lambda record: (change(record), [event]))

    async def _update(self, change: Callable[[Ticket], Change]) -> None:
        self.ticket = await update_when_reachable(self._store, self.ticket.id, change, poll_s=self._store_poll_s)


async def claim_ticket(
    store: TicketStore, id: str, run: str, *, max_attempts: int, clock: Callable[[], datetime], store_poll_s: float
) -> TicketClaim:
    """Claims a ticket for one attempt. After ``max_attempts`` the run fails instead: the returned ticket is finished.

    Raises:
        RunIsOver: the job is of a run that is over.
        UnknownTicket: the ticket does not exist (any more).
    """

    def change(record: Ticket) -> Change:
        if record.is_finished or str(record.run) != run:
            raise RunIsOver
        claimed, at = record.claim(), clock()
        if record.attempts < max_attempts:
            data = {"state": claimed.state, "attempt": claimed.attempts, "at": at.isoformat()}
            return claimed, [Event(name="started", data=data)]
        # Attempts that fail by an error end the run themselves. Here the workers died, so that no one could save a failure.
        cause = f"the last error: {record.failure.detail}" if record.failure else "the worker died each time"
        failure = Failure(kind="attempts-used-up", detail=f"all {record.attempts} attempts failed; {cause}")
        dead = claimed.fail(claimed.fence, failure, at)
        return dead, [finished_event(dead.state, dead.run, at, failure=failure.detail)]

    ticket = await update_when_reachable(store, id, change, poll_s=store_poll_s)
    return TicketClaim(store, ticket, store_poll_s=store_poll_s)


async def update_when_reachable(
    store: TicketStore, id: str, change: Callable[[Ticket], Change], *, poll_s: float
) -> Ticket:
    """The changed record. While the store is unreachable it tries again every ``poll_s``."""
    # The answer of a change that was made may be lost: one operation id for all tries keeps it from being made twice.
    operation = uuid4().hex
    return await call_when_reachable(lambda: store.update(id, change, operation=operation), poll_s=poll_s)


async def call_when_reachable(call: Callable[[], Awaitable[_T]], *, poll_s: float) -> _T:
    """The result of ``call``, repeated every ``poll_s`` while it raises ``QueueUnavailable``."""
    while True:
        try:
            return await call()
        except QueueUnavailable as error:
            _log.warning("store_unreachable", reason=str(error))
            await asyncio.sleep(poll_s)
