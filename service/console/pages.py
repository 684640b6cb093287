"""The console's pages, in the order of the navigation."""

from __future__ import annotations

from service.console.page import Page

PAGES: tuple[Page, ...] = ()
