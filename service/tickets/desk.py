"""What the group routes work with, put together by the bootstrap."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from service.platform.errors import QueueUnavailable
from service.tickets.blobs import BlobStore
from service.tickets.manage import ManageGroups
from service.tickets.metrics import GroupMetrics
from service.tickets.ports import JobQueue
from service.tickets.review_queue import ReviewQueue
from service.tickets.store import GroupStore
from service.tickets.submit import SubmitGroup

_LOOK_S = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupDesk:
    """The use cases around submitted tickets."""

    submit: SubmitGroup
    manage: ManageGroups
    store: GroupStore
    blobs: BlobStore
    waiting: ReviewQueue
    queue: JobQueue
    metrics: GroupMetrics

    async def look(self) -> list[str]:
        """Brings the queue's gauges up to date; why tickets could not be taken now, empty if they could."""
        try:
            async with asyncio.timeout(_LOOK_S):
                self.metrics.queue(await self.store.counts(), await self.store.oldest(), await self.queue.depth())
        except (QueueUnavailable, TimeoutError) as error:
            self.metrics.queue_away()
            return [str(error) or f"the queue does not answer within {_LOOK_S:g} s"]
        return []
