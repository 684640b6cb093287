"""Sign-in by a proxy that has authenticated the person and says who it is in a header."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.types import Scope

from service.console.accounts import Account


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxySignIn:
    """``user_header`` has the person's name, ``groups_header`` their groups, separated by commas.

    The headers count only in a request that a trusted proxy sent; such a proxy removes those of its own callers.
    """

    user_header: str
    groups_header: str

    def account_of(self, scope: Scope) -> Account | None:
        """The account that the proxy names, None if it names none or the request came another way."""
        if not scope.get("vqc_from_proxy"):
            return None
        users = self._values(scope, self.user_header)
        if len(users) != 1 or not users[0]:
            return None  # two would let a caller's own header be taken for the proxy's
        groups = [group.strip() for value in self._values(scope, self.groups_header) for group in value.split(",")]
        return Account(id=f"proxy:{users[0]}"[:128], name=users[0][:128], groups=tuple(filter(None, groups)))

    def _values(self, scope: Scope, header: str) -> list[str]:
        name = header.lower().encode("latin-1")
        return [value.decode("utf-8", "replace").strip() for key, value in scope["headers"] if key == name]
