"""The console's pages, in the order of the navigation."""

from __future__ import annotations

from service.console import guidance, live, models, queue, ticket, tryit, webhooks
from service.console.access import VIEW_SCOPES
from service.console.page import ConsolePage
from service.web.auth import Scope

PAGES: tuple[ConsolePage, ...] = (
    ConsolePage(name="queue", path="/console/queue", router=queue.router, scopes=VIEW_SCOPES),
    ConsolePage(name="ticket", path=None, router=ticket.router),
    ConsolePage(name="try", path="/console/try", router=tryit.router, scopes=frozenset({Scope.CAPTION})),
    ConsolePage(name="guidance", path="/console/guidance", router=guidance.router),
    ConsolePage(name="models", path="/console/models", router=models.router),
    ConsolePage(name="live", path="/console/live", router=live.router, scopes=VIEW_SCOPES),
    ConsolePage(name="webhooks", path="/console/webhooks", router=webhooks.router, scopes=frozenset({Scope.STAGE_B})),
)
