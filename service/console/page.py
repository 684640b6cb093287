"""What a page of the console registers."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter

from service.web.auth import Caller, Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsolePage:
    """A part of the console. ``t("<name>.title")`` is its word in the navigation.

    ``scopes``: it is shown to who has one of them, empty to everybody. ``path`` None: it has no place in the navigation.
    """

    name: str
    path: str | None
    router: APIRouter
    scopes: frozenset[Scope] = frozenset()

    def shown_to(self, caller: Caller | None) -> bool:
        """Whether the navigation has it for this caller."""
        return self.path is not None and caller is not None and (not self.scopes or bool(self.scopes & caller.scopes))
