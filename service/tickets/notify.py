"""Delivers the completion webhook, with a bounded number of retries."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from service.platform.errors import RecordUnreadable, UnknownDelivery, UnknownTicket, UrlRejected, WebhookFailed
from service.tickets.deliveries import Delivery, DeliveryState, DeliveryStore
from service.tickets.ports import TicketObserver
from service.tickets.store import Event, TicketStore
from service.tickets.ticket import Ticket
from service.tickets.webhook import SignedWebhook

_log = structlog.get_logger("vqc.tickets")


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifyWebhook:
    """Delivers at least once. A receiver recognises a repeated delivery by its id."""

    store: TicketStore
    webhook: SignedWebhook
    deliveries: DeliveryStore
    observer: TicketObserver
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    async def __call__(self, job_id: str, *, last: bool) -> bool:
        """Makes one attempt; False if it failed and another one may succeed. ``last`` makes it the final attempt.

        Raises:
            QueueUnavailable: the store does not answer.
        """
        try:
            ticket = await self.store.get(job_id.partition(".")[0])
        except (UnknownTicket, RecordUnreadable):
            return True
        if ticket.job_id != job_id or not ticket.is_finished or ticket.webhook is None:
            return True
        try:
            await self.webhook.deliver(ticket)
        except (WebhookFailed, UrlRejected) as error:
            self.observer.record_webhook(delivered=False)
            # Without the URL, whose path and query may hold a secret.
            reason = f"the URL is not allowed: {error.valid}" if isinstance(error, UrlRejected) else str(error)
            _log.warning("webhook_failed", group=ticket.id, error=reason, last=last)
            retried = not last and isinstance(error, WebhookFailed)
            await self._save(ticket, DeliveryState.RETRYING if retried else DeliveryState.FAILED, reason)
            if retried:
                return False
            name, data = "webhook_failed", {"reason": reason}
        else:
            self.observer.record_webhook(delivered=True)
            await self._save(ticket, DeliveryState.DELIVERED)
            name, data = "webhook_delivered", {}
        await self.store.update(ticket.id, lambda record: (record, [Event(name=name, data=data)]))
        return True

    async def _save(self, ticket: Ticket, state: DeliveryState, problem: str = "") -> None:
        assert ticket.webhook is not None
        try:
            attempts = (await self.deliveries.get(ticket.job_id)).attempts
        except UnknownDelivery:
            attempts = 0
        await self.deliveries.save(
            Delivery(
                id=ticket.job_id,
                ticket=ticket.id,
                host=self.webhook.host(ticket.webhook),
                state=state,
                attempts=attempts + 1,
                at=self.clock(),
                problem=problem,
            )
        )
