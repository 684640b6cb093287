"""The registration of a page of the console."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter

from service.web.auth import Caller, Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsolePage:
    """A page and its routes. ``t("<name>.title")`` is its title in the navigation.

    The navigation shows it to callers with one of ``scopes`` (empty: to everyone), or never if ``path`` is None.
    """

    name: str
    path: str | None
    router: APIRouter
    scopes: frozenset[Scope] = frozenset()

    def is_visible_to(self, caller: Caller | None) -> bool:
        """Whether the navigation shows it to this caller."""
        return self.path is not None and caller is not None and (not self.scopes or bool(self.scopes & caller.scopes))
