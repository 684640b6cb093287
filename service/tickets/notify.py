"""Use case: the caller's system is told of a finished ticket, until it takes it or too often did not."""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from service.platform.errors import UnknownTicket, UrlRejected, WebhookFailed
from service.tickets.ports import Notifier, TicketObserver
from service.tickets.store import Event, TicketStore

_log = structlog.get_logger("vqc.tickets")


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifyWebhook:
    """Delivers at least once; the receiver knows a repetition by its delivery id."""

    store: TicketStore
    notifier: Notifier
    observer: TicketObserver

    async def __call__(self, job_id: str, *, last: bool) -> bool:
        """Whether it is done with. ``last`` gives up after this attempt.

        Raises:
            QueueUnavailable: the store does not answer.
        """
        try:
            ticket = await self.store.get(job_id.partition(".")[0])
        except UnknownTicket:
            return True
        if ticket.job_id != job_id or not ticket.finished or ticket.webhook is None:
            return True
        try:
            await self.notifier(ticket)
        except (WebhookFailed, UrlRejected) as error:
            self.observer.notified(delivered=False)
            _log.warning("webhook", group=ticket.id, error=str(error), last=last)
            if not last and isinstance(error, WebhookFailed):
                return False
            name, data = "webhook_failed", {"reason": str(error)}
        else:
            self.observer.notified(delivered=True)
            name, data = "webhook_delivered", {}
        await self.store.update(ticket.id, lambda now: (now, [Event(name=name, data=data)]))
        return True
