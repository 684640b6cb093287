"""Use case: one delivery of one job. Claims the ticket, works, and says whether the job is done or shall come again.

Whatever happens, the ticket's record says so: a final record, or the queue again. An engine or store that is away is waited
for and costs no attempt; an attempt that fails, or a worker that dies, does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from time import monotonic
from typing import TypeVar
from uuid import uuid4

import structlog

from engine.errors import EngineFailed, EngineTimeout, EngineUnavailable
from service.platform.errors import QueueUnavailable, Superseded, UnknownTicket
from service.tickets.manage import finished_event
from service.tickets.ports import AttemptEnd, JobQueue, TicketObserver
from service.tickets.store import Change, Event, TicketStore
from service.tickets.ticket import Failure, State, Ticket
from service.tickets.work import WorkOnTicket
from vqc.errors import VqcError

_log = structlog.get_logger("vqc.tickets")
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempts:
    """How often a ticket is tried and how long is waited: before try n + 1 ``backoff_s`` · 2ⁿ⁻¹, ``longest_s`` at most.

    ``beat_s`` is how often a worker tells that it still has a ticket and looks whether it was cancelled; one heard of within
    ``alive_s`` is taken to be at work. ``wait_s`` is how often an engine that is away is asked.
    """

    limit: int = 3
    backoff_s: float = 2.0
    longest_s: float = 60.0
    beat_s: float = 1.0
    alive_s: float = 15.0
    wait_s: float = 2.0

    def delay_s(self, failed: int) -> float:
        """The wait after ``failed`` attempts.

        >>> [Attempts().delay_s(failed) for failed in (1, 2, 3, 9)]
        [2.0, 4.0, 8.0, 60.0]
        """
        return min(self.longest_s, self.backoff_s * 2 ** (failed - 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """The job is not done: deliver it again after so many seconds."""

    after_s: float


class _NothingToDo(Exception):
    """The ticket has its final record, or a later run."""


class ProcessTicket:
    """Handles deliveries, many at a time."""

    def __init__(
        self,
        *,
        store: TicketStore,
        queue: JobQueue,
        work: WorkOnTicket,
        attempts: Attempts,
        observer: TicketObserver,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._queue = queue
        self._work = work
        self._attempts = attempts
        self._observer = observer
        self._clock = clock

    async def __call__(self, job_id: str, leaving: asyncio.Event) -> Again | None:
        """None when the job is done. Once ``leaving`` is set the ticket is given back where it is.

        Raises:
            QueueUnavailable: the store does not answer and nothing was begun; the delivery will come again.
        """
        id, _, run = job_id.partition(".")
        try:
            if await self._in_work(id):
                return Again(after_s=self._attempts.alive_s)
            ticket = await self._save(id, lambda ticket: self._claim(ticket, run))
        except _NothingToDo:
            return await self._told(id, job_id)
        except UnknownTicket:
            return None
        if ticket.finished:  # its attempts were used up
            self._finished(ticket)
            return await self._told(id, job_id)
        if ticket.attempts == 1 and ticket.run == 1:
            self._observer.waited((self._clock() - ticket.accepted_at).total_seconds())
        started = monotonic()
        with structlog.contextvars.bound_contextvars(group=id, mission=ticket.mission):
            end, again = await self._attempt(ticket, leaving)
        self._observer.attempt(end, monotonic() - started)
        return again or await self._told(id, job_id)

    async def _in_work(self, id: str) -> bool:
        """Whether a living worker has the group: the queue only lost sight of it, as while Redis restarts."""
        silence_s = await self._store.silence_s(id)
        if silence_s is None or silence_s >= self._attempts.alive_s:
            return False
        return (await self._store.get(id)).state is State.RUNNING

    def _claim(self, ticket: Ticket, run: str) -> Change:
        if ticket.finished or str(ticket.run) != run:
            raise _NothingToDo
        claimed, now = ticket.claimed(), self._clock()
        if ticket.attempts >= self._attempts.limit:
            last = f"; the last: {ticket.failure.detail}" if ticket.failure else "; each ended with its worker"
            failure = Failure(kind="attempts-used-up", detail=f"{ticket.attempts} attempts came to nothing{last}")
            dead = claimed.failed(claimed.fence, failure, now)
            return dead, [finished_event(dead.state, dead.run, now, failure=failure.detail)]
        data = {"state": claimed.state, "attempt": claimed.attempts, "at": now.isoformat()}
        return claimed, [Event(name="started", data=data)]

    async def _attempt(self, ticket: Ticket, leaving: asyncio.Event) -> tuple[AttemptEnd, Again | None]:
        work = asyncio.ensure_future(self._patiently(ticket))
        watch = asyncio.ensure_future(self._until_unwanted(ticket, leaving))
        try:
            await asyncio.wait({work, watch}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                self._finished(work.result())
                return "finished", None
            work.cancel()
            await asyncio.wait({work})  # its last save must not come after the ticket is given back
            await watch
            await self._save(ticket.id, lambda now: (now.given_back(ticket.fence), [Event(name="given_back")]))
            return "given_back", Again(after_s=0)
        except Superseded:
            return "superseded", None
        except Exception as error:
            return await self._failed(ticket, error)
        finally:
            for task in (work, watch):
                task.cancel()
            await asyncio.gather(work, watch, return_exceptions=True)

    async def _until_unwanted(self, ticket: Ticket, leaving: asyncio.Event) -> None:
        """Returns when this worker leaves.

        Raises:
            Superseded: somebody else has the ticket, or it was cancelled.
        """
        while not leaving.is_set():
            try:
                async with asyncio.timeout(self._attempts.beat_s):
                    await leaving.wait()
            except TimeoutError:
                await self._beat(ticket)

    async def _beat(self, ticket: Ticket) -> None:
        try:
            if await self._store.beat(ticket.id, ticket.fence):
                return
            held = await self._store.get(ticket.id)
        except QueueUnavailable:
            return  # whoever is away cannot take the ticket from us either
        except UnknownTicket:
            raise Superseded(ticket.id, ticket.fence) from None
        ended_here = held.finished and held.fence == ticket.fence  # and the work has yet to hear of it
        if not ended_here:
            raise Superseded(ticket.id, ticket.fence)

    async def _patiently(self, ticket: Ticket) -> Ticket:
        """The work, begun again from what is saved whenever engine or photo store come back."""
        save = partial(self._save, ticket.id)
        while True:
            try:
                return await self._work(ticket, save)
            except (EngineUnavailable, QueueUnavailable) as error:
                ticket = await self._until_back(ticket, error)

    async def _until_back(self, ticket: Ticket, error: EngineUnavailable | QueueUnavailable) -> Ticket:
        _log.warning("waiting", reason=str(error))
        event = Event(name="waiting", data={"reason": str(error), "at": self._clock().isoformat()})
        ticket = await self._save(ticket.id, lambda now: (now.sampled(ticket.fence, now.rollouts), [event]))
        await asyncio.sleep(min(error.retry_after_s, self._attempts.wait_s))
        while not await self._work.ready():  # noqa: ASYNC110  (a server elsewhere has no event for us)
            await asyncio.sleep(self._attempts.wait_s)
        return ticket

    async def _failed(self, ticket: Ticket, error: Exception) -> tuple[AttemptEnd, Again | None]:
        """Back to the queue if another attempt may help and is left; else a dead letter."""
        _log.warning("attempt failed", error=str(error), exc_info=not isinstance(error, VqcError))
        hopeless = isinstance(error, VqcError) and not isinstance(error, EngineTimeout | EngineFailed)
        kind = type(error).__name__
        failure = Failure(kind=kind, detail=str(error) if isinstance(error, VqcError) else f"{kind}: see the log")
        now, fence = self._clock(), ticket.fence
        try:
            if hopeless or ticket.attempts >= self._attempts.limit:
                told = finished_event(State.FAILED, ticket.run, now, failure=failure.detail)
                self._finished(await self._save(ticket.id, lambda held: (held.failed(fence, failure, now), [told])))
                return "failed", None
            delay_s = self._attempts.delay_s(ticket.attempts)
            event = Event(name="retrying", data={"reason": failure.detail, "after_s": delay_s, "at": now.isoformat()})
            await self._save(ticket.id, lambda held: (held.attempt_failed(fence, failure), [event]))
            return "failed", Again(after_s=delay_s)
        except Superseded:
            return "superseded", None

    async def _save(self, id: str, change: Callable[[Ticket], Change]) -> Ticket:
        """The changed record; a store that is away is waited for, so that nothing is lost, and nothing done twice."""
        operation = uuid4().hex
        return await self._when_back(lambda: self._store.update(id, change, operation=operation))

    async def _told(self, id: str, job_id: str) -> None:
        """Queues the webhook of a finished run, whoever finished it; a second time is the same."""
        try:
            ticket = await self._store.get(id)
        except UnknownTicket:
            return
        if ticket.webhook and ticket.finished and ticket.job_id == job_id:
            await self._when_back(lambda: self._queue.notify(job_id))

    async def _when_back(self, call: Callable[[], Awaitable[_T]]) -> _T:
        while True:
            try:
                return await call()
            except QueueUnavailable as error:
                _log.warning("store away", reason=str(error))
                await asyncio.sleep(self._attempts.beat_s)

    def _finished(self, ticket: Ticket) -> None:
        seconds = ((ticket.finished_at or self._clock()) - ticket.accepted_at).total_seconds()
        self._observer.finished(ticket.state, ticket.verdict, seconds)
        _log.info("finished", group=ticket.id, state=ticket.state.value, attempts=ticket.attempts)
