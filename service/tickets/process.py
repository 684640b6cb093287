"""Use case: one delivery of one job. Claims the group, works, and says whether the job is done or shall come again.

Whatever happens, the group's record says so: a final record, or the queue again. An engine or store that is away is waited
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
from service.platform.errors import QueueUnavailable, Superseded, UnknownGroup
from service.tickets.manage import finished_event
from service.tickets.ports import AttemptEnd, GroupObserver, JobQueue
from service.tickets.store import Change, Event, GroupStore
from service.tickets.ticket import Failure, Group, State
from service.tickets.work import WorkOnGroup
from vqc.errors import VqcError

_log = structlog.get_logger("vqc.groups")
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempts:
    """How often a group is tried and how long is waited: before try n + 1 ``backoff_s`` · 2ⁿ⁻¹, ``longest_s`` at most.

    ``beat_s`` is how often a worker tells that it still has a group and looks whether it was cancelled; one heard of within
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
    """The group has its final record, or a later run."""


class ProcessGroup:
    """Handles deliveries, many at a time."""

    def __init__(
        self,
        *,
        store: GroupStore,
        queue: JobQueue,
        work: WorkOnGroup,
        attempts: Attempts,
        observer: GroupObserver,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._queue = queue
        self._work = work
        self._attempts = attempts
        self._observer = observer
        self._clock = clock

    async def __call__(self, job_id: str, leaving: asyncio.Event) -> Again | None:
        """None when the job is done. Once ``leaving`` is set the group is given back where it is.

        Raises:
            QueueUnavailable: the store does not answer and nothing was begun; the delivery will come again.
        """
        group_id, _, run = job_id.partition(".")
        try:
            if await self._in_work(group_id):
                return Again(after_s=self._attempts.alive_s)
            group = await self._save(group_id, lambda group: self._claim(group, run))
        except _NothingToDo:
            return await self._told(group_id, job_id)
        except UnknownGroup:
            return None
        if group.finished:  # its attempts were used up
            self._finished(group)
            return await self._told(group_id, job_id)
        if group.attempts == 1 and group.run == 1:
            self._observer.waited((self._clock() - group.accepted_at).total_seconds())
        started = monotonic()
        with structlog.contextvars.bound_contextvars(group=group_id, mission=group.mission):
            end, again = await self._attempt(group, leaving)
        self._observer.attempt(end, monotonic() - started)
        return again or await self._told(group_id, job_id)

    async def _in_work(self, group_id: str) -> bool:
        """Whether a living worker has the group: the queue only lost sight of it, as while Redis restarts."""
        silence_s = await self._store.silence_s(group_id)
        if silence_s is None or silence_s >= self._attempts.alive_s:
            return False
        return (await self._store.get(group_id)).state is State.RUNNING

    def _claim(self, group: Group, run: str) -> Change:
        if group.finished or str(group.run) != run:
            raise _NothingToDo
        claimed, now = group.claimed(), self._clock()
        if group.attempts >= self._attempts.limit:
            last = f"; the last: {group.failure.detail}" if group.failure else "; each ended with its worker"
            failure = Failure(kind="attempts-used-up", detail=f"{group.attempts} attempts came to nothing{last}")
            dead = claimed.failed(claimed.fence, failure, now)
            return dead, [finished_event(dead.state, dead.run, now, failure=failure.detail)]
        data = {"state": claimed.state, "attempt": claimed.attempts, "at": now.isoformat()}
        return claimed, [Event(name="started", data=data)]

    async def _attempt(self, group: Group, leaving: asyncio.Event) -> tuple[AttemptEnd, Again | None]:
        work = asyncio.ensure_future(self._patiently(group))
        watch = asyncio.ensure_future(self._until_unwanted(group, leaving))
        try:
            await asyncio.wait({work, watch}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                self._finished(work.result())
                return "finished", None
            work.cancel()
            await asyncio.wait({work})  # its last save must not come after the group is given back
            await watch
            await self._save(group.id, lambda now: (now.given_back(group.fence), [Event(name="given_back")]))
            return "given_back", Again(after_s=0)
        except Superseded:
            return "superseded", None
        except Exception as error:
            return await self._failed(group, error)
        finally:
            for task in (work, watch):
                task.cancel()
            await asyncio.gather(work, watch, return_exceptions=True)

    async def _until_unwanted(self, group: Group, leaving: asyncio.Event) -> None:
        """Returns when this worker leaves.

        Raises:
            Superseded: somebody else has the group, or it was cancelled.
        """
        while not leaving.is_set():
            try:
                async with asyncio.timeout(self._attempts.beat_s):
                    await leaving.wait()
            except TimeoutError:
                await self._beat(group)

    async def _beat(self, group: Group) -> None:
        try:
            if await self._store.beat(group.id, group.fence):
                return
            held = await self._store.get(group.id)
        except QueueUnavailable:
            return  # whoever is away cannot take the group from us either
        except UnknownGroup:
            raise Superseded(group.id, group.fence) from None
        ended_here = held.finished and held.fence == group.fence  # and the work has yet to hear of it
        if not ended_here:
            raise Superseded(group.id, group.fence)

    async def _patiently(self, group: Group) -> Group:
        """The work, begun again from what is saved whenever engine or photo store come back."""
        save = partial(self._save, group.id)
        while True:
            try:
                return await self._work(group, save)
            except (EngineUnavailable, QueueUnavailable) as error:
                group = await self._until_back(group, error)

    async def _until_back(self, group: Group, error: EngineUnavailable | QueueUnavailable) -> Group:
        _log.warning("waiting", reason=str(error))
        event = Event(name="waiting", data={"reason": str(error), "at": self._clock().isoformat()})
        group = await self._save(group.id, lambda now: (now.sampled(group.fence, now.rollouts), [event]))
        await asyncio.sleep(min(error.retry_after_s, self._attempts.wait_s))
        while not await self._work.ready():  # noqa: ASYNC110  (a server elsewhere has no event for us)
            await asyncio.sleep(self._attempts.wait_s)
        return group

    async def _failed(self, group: Group, error: Exception) -> tuple[AttemptEnd, Again | None]:
        """Back to the queue if another attempt may help and is left; else a dead letter."""
        _log.warning("attempt failed", error=str(error), exc_info=not isinstance(error, VqcError))
        hopeless = isinstance(error, VqcError) and not isinstance(error, EngineTimeout | EngineFailed)
        kind = type(error).__name__
        failure = Failure(kind=kind, detail=str(error) if isinstance(error, VqcError) else f"{kind}: see the log")
        now, fence = self._clock(), group.fence
        try:
            if hopeless or group.attempts >= self._attempts.limit:
                told = finished_event(State.FAILED, group.run, now, failure=failure.detail)
                self._finished(await self._save(group.id, lambda held: (held.failed(fence, failure, now), [told])))
                return "failed", None
            delay_s = self._attempts.delay_s(group.attempts)
            event = Event(name="retrying", data={"reason": failure.detail, "after_s": delay_s, "at": now.isoformat()})
            await self._save(group.id, lambda held: (held.attempt_failed(fence, failure), [event]))
            return "failed", Again(after_s=delay_s)
        except Superseded:
            return "superseded", None

    async def _save(self, group_id: str, change: Callable[[Group], Change]) -> Group:
        """The changed record; a store that is away is waited for, so that nothing is lost, and nothing done twice."""
        operation = uuid4().hex
        return await self._when_back(lambda: self._store.update(group_id, change, operation=operation))

    async def _told(self, group_id: str, job_id: str) -> None:
        """Queues the webhook of a finished run, whoever finished it; a second time is the same."""
        try:
            group = await self._store.get(group_id)
        except UnknownGroup:
            return
        if group.webhook and group.finished and group.job_id == job_id:
            await self._when_back(lambda: self._queue.notify(job_id))

    async def _when_back(self, call: Callable[[], Awaitable[_T]]) -> _T:
        while True:
            try:
                return await call()
            except QueueUnavailable as error:
                _log.warning("store away", reason=str(error))
                await asyncio.sleep(self._attempts.beat_s)

    def _finished(self, group: Group) -> None:
        seconds = ((group.finished_at or self._clock()) - group.accepted_at).total_seconds()
        self._observer.finished(group.state, group.verdict, seconds)
        _log.info("finished", group=group.id, state=group.state.value, attempts=group.attempts)
