"""Processes one delivery of a job: claims the ticket, does the work, and decides whether the job is done or redelivered.

A ticket always ends in a final record or on the queue. An engine or a store that is unreachable is waited for and costs no
attempt; an attempt that fails, or a worker that dies, costs one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic

import structlog

from engine.errors import EngineFailed, EngineTimeout, EngineUnavailable
from service.platform.errors import QueueUnavailable, RecordUnreadable, Superseded, UnknownTicket
from service.tickets.claim import RunIsOver, TicketClaim, call_when_reachable, claim_ticket
from service.tickets.heartbeat_watch import HeartbeatWatch
from service.tickets.ports import AttemptEnd, JobQueue, TicketObserver
from service.tickets.store import TicketStore
from service.tickets.ticket import Failure, State, Ticket
from service.tickets.work import WorkOnTicket
from vqc.errors import VqcError

_log = structlog.get_logger("vqc.tickets")


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often a run is tried: attempt n + 1 waits ``backoff_s`` · 2ⁿ⁻¹, at most ``max_backoff_s``.

    A worker renews its lease every ``heartbeat_interval_s`` and then learns of a cancel. A worker whose heartbeat is younger
    than ``heartbeat_timeout_s`` is alive. ``engine_poll_s`` is the time between two checks of an unavailable engine.
    """

    max_attempts: int = 3
    backoff_s: float = 2.0
    max_backoff_s: float = 60.0
    heartbeat_interval_s: float = 1.0
    heartbeat_timeout_s: float = 15.0
    engine_poll_s: float = 2.0

    def delay_s(self, failed: int) -> float:
        """The wait after ``failed`` attempts.

        >>> [RetryPolicy().delay_s(failed) for failed in (1, 2, 3, 9)]
        [2.0, 4.0, 8.0, 60.0]
        """
        return min(self.max_backoff_s, self.backoff_s * 2 ** (failed - 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Redeliver:
    """The job is not done: it is delivered again after ``after_s``."""

    after_s: float


class ProcessTicket:
    """Handles deliveries, many at a time."""

    def __init__(
        self,
        *,
        store: TicketStore,
        queue: JobQueue,
        work: WorkOnTicket,
        retry_policy: RetryPolicy,
        observer: TicketObserver,
        watch: HeartbeatWatch,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._watch = watch
        self._store = store
        self._queue = queue
        self._work = work
        self._policy = retry_policy
        self._observer = observer
        self._clock = clock

    async def __call__(self, job_id: str, stopping: asyncio.Event) -> Redeliver | None:
        """None when the job is done. Once ``stopping`` is set the ticket is released as it is.

        Raises:
            QueueUnavailable: the store does not answer and no work was started; the job is delivered again.
        """
        id, _, run = job_id.partition(".")
        try:
            if await self._is_running_elsewhere(id, stopping):
                return Redeliver(after_s=self._policy.heartbeat_timeout_s)
            claim = await claim_ticket(
                self._store,
                id,
                run,
                max_attempts=self._policy.max_attempts,
                clock=self._clock,
                store_poll_s=self._policy.heartbeat_interval_s,
            )
        except RunIsOver:
            return await self._queue_webhook(job_id)
        except (UnknownTicket, RecordUnreadable):
            return None
        ticket = claim.ticket
        if ticket.is_finished:  # all attempts were used up
            self._record_finished(ticket)
            return await self._queue_webhook(job_id)
        if ticket.attempts == 1 and ticket.run == 1:
            self._observer.record_wait((self._clock() - ticket.accepted_at).total_seconds())
        started = monotonic()
        with structlog.contextvars.bound_contextvars(group=id, mission=ticket.mission):
            end, redeliver = await self._attempt(claim, stopping)
        self._observer.record_attempt(end, monotonic() - started)
        return redeliver or await self._queue_webhook(job_id)

    async def _is_running_elsewhere(self, id: str, stopping: asyncio.Event) -> bool:
        """Whether a living worker has the ticket: a restart of Redis redelivers jobs whose workers are well.

        A worker lives while its heartbeat changes. It is dead when this process has seen the same one for the timeout.
        """
        if (await self._store.get(id)).state is not State.RUNNING:
            return False
        first = await self._store.beat(id)
        while (beat := await self._store.beat(id)) == first and beat is not None:
            if self._watch.unchanged_s(id, beat) >= self._policy.heartbeat_timeout_s:
                return False
            try:
                async with asyncio.timeout(self._policy.heartbeat_interval_s):
                    await stopping.wait()
                return True  # this worker has no time to find out
            except TimeoutError:
                continue
        return beat is not None

    async def _attempt(self, claim: TicketClaim, stopping: asyncio.Event) -> tuple[AttemptEnd, Redeliver | None]:
        work = asyncio.ensure_future(self._work_when_available(claim))
        watch = asyncio.ensure_future(self._watch_claim(claim, stopping))
        try:
            await asyncio.wait({work, watch}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()
                self._record_finished(claim.ticket)
                return "finished", None
            work.cancel()
            # A save of the cancelled work may still be under way. Released before it, the ticket could go to another worker
            # while this one still writes.
            await asyncio.wait({work})
            await watch
            await claim.release()
            return "given_back", Redeliver(after_s=0)
        except (
            Superseded,
            RecordUnreadable,
            UnknownTicket,
        ):  # taken over, damaged or deleted: nothing to write any more
            return "superseded", None
        except Exception as error:
            return await self._end_attempt(claim, error)
        finally:
            for task in (work, watch):
                task.cancel()
            await asyncio.gather(work, watch, return_exceptions=True)

    async def _watch_claim(self, claim: TicketClaim, stopping: asyncio.Event) -> None:
        """Returns when this worker stops. Raises ``Superseded`` when the claim is no longer active."""
        while not stopping.is_set():
            try:
                async with asyncio.timeout(self._policy.heartbeat_interval_s):
                    await stopping.wait()
            except TimeoutError:
                if not await claim.is_active():
                    raise Superseded(claim.ticket.id, claim.ticket.fence) from None

    async def _work_when_available(self, claim: TicketClaim) -> None:
        """Does the work; starts it again from what is saved whenever an unavailable engine or photo store has recovered."""
        while True:
            try:
                return await self._work(claim)
            except (EngineUnavailable, QueueUnavailable) as error:
                _log.warning("ticket_waiting", reason=str(error))
                await claim.report_waiting(str(error), self._clock())
                await asyncio.sleep(min(error.retry_after_s, self._policy.engine_poll_s))
                while not await self._work.is_ready():  # noqa: ASYNC110  (a server elsewhere has no event for us)
                    await asyncio.sleep(self._policy.engine_poll_s)

    async def _end_attempt(self, claim: TicketClaim, error: Exception) -> tuple[AttemptEnd, Redeliver | None]:
        """Requeues the ticket if another attempt may help and is left; otherwise fails the run."""
        _log.warning("attempt_failed", error=str(error), exc_info=not isinstance(error, VqcError))
        # Most VqcErrors name a defect of the ticket, which a second attempt would meet again. These two are the engine's.
        is_final = isinstance(error, VqcError) and not isinstance(error, EngineTimeout | EngineFailed)
        kind = type(error).__name__
        failure = Failure(kind=kind, detail=str(error) if isinstance(error, VqcError) else f"{kind}: see the log")
        now, attempts = self._clock(), claim.ticket.attempts
        try:
            if is_final or attempts >= self._policy.max_attempts:
                await claim.fail(failure, now)
                self._record_finished(claim.ticket)
                return "failed", None
            delay_s = self._policy.delay_s(attempts)
            await claim.requeue(failure, now, after_s=delay_s)
            return "failed", Redeliver(after_s=delay_s)
        except (Superseded, RecordUnreadable, UnknownTicket):
            return "superseded", None

    async def _queue_webhook(self, job_id: str) -> None:
        """Queues the webhook of a finished run, whichever worker finished it. Queueing it twice has no effect."""
        try:
            ticket = await self._store.get(job_id.partition(".")[0])
        except (UnknownTicket, RecordUnreadable):
            return
        if ticket.webhook and ticket.is_finished and ticket.job_id == job_id:
            poll_s = self._policy.heartbeat_interval_s
            await call_when_reachable(lambda: self._queue.notify(job_id), poll_s=poll_s)

    def _record_finished(self, ticket: Ticket) -> None:
        seconds = ((ticket.finished_at or self._clock()) - ticket.accepted_at).total_seconds()
        self._observer.record_finished(ticket.state, ticket.verdict, seconds)
        _log.info("ticket_finished", group=ticket.id, state=ticket.state.value, attempts=ticket.attempts)
