"""The console's pages, in the order of the navigation."""

from __future__ import annotations

from service.api.auth import Scope
from service.console import guidance, tryit
from service.console.page import Page

PAGES: tuple[Page, ...] = (
    Page(name="try", path="/console/try", router=tryit.router, scopes=frozenset({Scope.CAPTION})),
    Page(name="guidance", path="/console/guidance", router=guidance.router),
)
