"""Use case: the caller's system is told of a finished group, until it takes it or too often did not."""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from service.platform.errors import UnknownGroup, UrlRejected, WebhookFailed
from service.tickets.ports import GroupObserver, Notifier
from service.tickets.store import Event, GroupStore

_log = structlog.get_logger("vqc.groups")


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifyWebhook:
    """Delivers at least once; the receiver knows a repetition by its delivery id."""

    store: GroupStore
    notifier: Notifier
    observer: GroupObserver

    async def __call__(self, job_id: str, *, last: bool) -> bool:
        """Whether it is done with. ``last`` gives up after this attempt.

        Raises:
            QueueUnavailable: the store does not answer.
        """
        try:
            group = await self.store.get(job_id.partition(".")[0])
        except UnknownGroup:
            return True
        if group.job_id != job_id or not group.finished or group.webhook is None:
            return True
        try:
            await self.notifier(group)
        except (WebhookFailed, UrlRejected) as error:
            self.observer.notified(delivered=False)
            _log.warning("webhook", group=group.id, error=str(error), last=last)
            if not last and isinstance(error, WebhookFailed):
                return False
            name, data = "webhook_failed", {"reason": str(error)}
        else:
            self.observer.notified(delivered=True)
            name, data = "webhook_delivered", {}
        await self.store.update(group.id, lambda now: (now, [Event(name=name, data=data)]))
        return True
