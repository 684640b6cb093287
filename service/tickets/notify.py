"""Delivers the completion webhook, with a bounded number of retries."""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from service.platform.errors import UnknownTicket, UrlRejected, WebhookFailed
from service.tickets.ports import TicketObserver
from service.tickets.store import Event, TicketStore
from service.tickets.webhook import SignedWebhook

_log = structlog.get_logger("vqc.tickets")


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifyWebhook:
    """Delivers at least once. A receiver recognises a repeated delivery by its id."""

    store: TicketStore
    webhook: SignedWebhook
    observer: TicketObserver

    async def __call__(self, job_id: str, *, last: bool) -> bool:
        """Makes one attempt; False if it failed and another one may succeed. ``last`` makes it the final attempt.

        Raises:
            QueueUnavailable: the store does not answer.
        """
        try:
            ticket = await self.store.get(job_id.partition(".")[0])
        except UnknownTicket:
            return True
        if ticket.job_id != job_id or not ticket.is_finished or ticket.webhook is None:
            return True
        try:
            await self.webhook.deliver(ticket)
        except (WebhookFailed, UrlRejected) as error:
            self.observer.record_webhook(delivered=False)
            _log.warning("webhook_failed", group=ticket.id, error=str(error), last=last)
            if not last and isinstance(error, WebhookFailed):
                return False
            name, data = "webhook_failed", {"reason": str(error)}
        else:
            self.observer.record_webhook(delivered=True)
            name, data = "webhook_delivered", {}
        await self.store.update(ticket.id, lambda record: (record, [Event(name=name, data=data)]))
        return True
