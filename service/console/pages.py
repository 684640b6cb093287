"""The console's pages, in the order of the navigation."""

from __future__ import annotations

from service.console import guidance, live, models, queue, ticket, tryit
from service.console.looking import LOOKERS
from service.console.page import Page
from service.web.auth import Scope

PAGES: tuple[Page, ...] = (
    Page(name="queue", path="/console/queue", router=queue.router, scopes=LOOKERS),
    Page(name="ticket", path=None, router=ticket.router),
    Page(name="try", path="/console/try", router=tryit.router, scopes=frozenset({Scope.CAPTION})),
    Page(name="guidance", path="/console/guidance", router=guidance.router),
    Page(name="models", path="/console/models", router=models.router),
    Page(name="live", path="/console/live", router=live.router, scopes=LOOKERS),
)
