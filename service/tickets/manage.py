"""Use cases of a person or system with an accepted ticket: cancel, retry, decide."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from service.platform.errors import ReviewConflict
from service.tickets.ports import GroupObserver, JobQueue
from service.tickets.store import Event, GroupStore
from service.tickets.ticket import Group, Review, State
from vqc.verdict import Verdict


class ManageGroups:
    """Changes groups from outside. Each raises ``UnknownGroup``, ``GroupStateConflict`` or ``QueueUnavailable``."""

    def __init__(
        self,
        store: GroupStore,
        queue: JobQueue,
        observer: GroupObserver,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._queue = queue
        self._observer = observer
        self._clock = clock

    async def cancel(self, group_id: str, by: str | None) -> Group:
        """The group, cancelled; a worker that has it stops and its generation is aborted. Cancelling twice is the same."""
        now = self._clock()
        changed = False

        def cancelled(group: Group) -> tuple[Group, list[Event]]:
            nonlocal changed
            changed = group.state is not State.CANCELLED
            if not changed:
                return group, []
            return group.cancelled(now), [finished_event(State.CANCELLED, group.run, now, by=by)]

        group = await self._store.update(group_id, cancelled)
        if changed:
            self._observer.finished(group.state, None, (now - group.accepted_at).total_seconds())
        if group.webhook:
            await self._queue.notify(group.job_id)
        return group

    async def retry(self, group_id: str, by: str | None) -> Group:
        """A failed or cancelled group, queued again."""
        now = self._clock()

        def retried(group: Group) -> tuple[Group, list[Event]]:
            again = group.retried()
            data = {"state": again.state, "run": again.run, "by": by, "at": now.isoformat()}
            return again, [Event(name="retried", data=data)]

        group = await self._store.update(group_id, retried)
        await self._queue.judge(group.job_id)
        return group

    async def review(
        self,
        group_id: str,
        *,
        verdict: Verdict | None,
        name: str,
        note: str,
        by: str | None,
        revision: int | None = None,
    ) -> Group:
        """The group with a person's decision in force; who, when, why and what it replaced stay in the record.

        ``verdict`` None takes the last decision back. With the ``revision`` that was looked at, a decision that came
        meanwhile is not overwritten: ``ReviewConflict``.
        """
        now, was = self._clock(), State.NEEDS_REVIEW

        def reviewed(group: Group) -> tuple[Group, list[Event]]:
            nonlocal was
            if revision is not None and revision != group.revision:
                raise ReviewConflict(group.id, revision, group.revision)
            was, replaced = group.state, group.verdict or (group.outcome.verdict if group.outcome else None)
            review = Review(verdict=verdict, name=name, note=note, reviewer=by, at=now, replaced=replaced)
            after = group.reviewed(review)
            data = {"state": after.state, "verdict": verdict, "name": name, "by": by, "at": now.isoformat()}
            return after, [Event(name="reviewed", data=data)]

        after = await self._store.update(group_id, reviewed)
        if verdict is not None:
            machine = after.outcome.verdict if after.outcome else None
            self._observer.reviewed(was, machine, verdict, (now - (after.finished_at or now)).total_seconds())
        return after


def finished_event(state: State, run: int, at: datetime, **data: object) -> Event:
    """The one event that ends a run; watchers stop after it."""
    return Event(name="finished", data={"state": state, "run": run, "at": at.isoformat(), **data})
