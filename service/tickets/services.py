"""The services that the ticket routes use."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from starlette.requests import Request

from service.judging.release_state import ReleaseStates
from service.platform.errors import QueueFull, QueueUnavailable
from service.tickets.blob_store import BlobStore
from service.tickets.deliveries import DeliveryStore
from service.tickets.manage import ManageTickets
from service.tickets.metrics import TicketMetrics
from service.tickets.pictures import TicketPictures
from service.tickets.ports import JobQueue
from service.tickets.review_queue import ReviewQueue
from service.tickets.store import TicketStore
from service.tickets.submit import SubmitTicket
from service.tickets.ticket import State

if TYPE_CHECKING:
    from service.platform.redis_safety import RedisSafety  # imports the client, which only a connected service needs

_QUEUE_TIMEOUT_S = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketServices:
    """The use cases around submitted tickets."""

    submit: SubmitTicket
    manage: ManageTickets
    store: TicketStore
    blobs: BlobStore
    pictures: TicketPictures
    waiting: ReviewQueue
    queue: JobQueue
    deliveries: DeliveryStore
    metrics: TicketMetrics
    releases: ReleaseStates
    max_queued: int
    safety: RedisSafety | None = None
    """None where tickets are not in Redis."""

    async def update_metrics(self) -> None:
        """Sets the queue's gauges; clears them while the queue is unreachable."""
        try:
            async with asyncio.timeout(_QUEUE_TIMEOUT_S):
                self.metrics.set_queue(
                    await self.store.counts(),
                    await self.store.oldest(),
                    await self.queue.depth(),
                    unreadable=await self.store.unreadable(),
                    unsafe=bool(await self.safety.problems()) if self.safety else False,
                )
        except (QueueUnavailable, TimeoutError):
            self.metrics.clear_queue()

    async def find_problems(self) -> list[str]:
        """Why tickets could not be accepted now; empty when they could. It writes what a ticket would write."""
        try:
            async with asyncio.timeout(_QUEUE_TIMEOUT_S):
                await self.store.probe()
                await self.queue.probe()
                await self.queue.depth()
                await self.blobs.ping()
                queued = (await self.store.counts())[State.QUEUED]
                unsafe = await self.safety.problems() if self.safety else []
        except (QueueUnavailable, TimeoutError) as error:
            return [str(error) or f"the queue does not answer within {_QUEUE_TIMEOUT_S:g} s"]
        return unsafe + ([str(QueueFull(self.max_queued))] if queued >= self.max_queued else [])


def ticket_services(request: Request) -> TicketServices:
    """The ticket services of the application that handles ``request``. Raises ``QueueUnavailable`` where there are none."""
    services = optional_ticket_services(request)
    if services is None:
        raise QueueUnavailable("this service was started without Stage-B (VQC_STAGE_B=off)")
    return services


def optional_ticket_services(request: Request) -> TicketServices | None:
    """The ticket services, None where the service runs without Stage-B."""
    return cast("TicketServices | None", request.app.state.tickets)
