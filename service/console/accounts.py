"""People who sign in to the console with an account elsewhere: what their groups there allow them here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from service.platform.errors import Forbidden
from service.web.auth import Caller, Scope
from vqc.errors import InvalidValue

GroupScopes = Mapping[str, frozenset[Scope]]
"""The scopes of each group; ``*`` is everyone who can sign in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A person at a sign-in provider. ``id`` is unique and goes into records, like a key's id; ``name`` is for people."""

    id: str
    name: str
    groups: tuple[str, ...]


def caller_of_account(account: Account, allowed: GroupScopes) -> Caller:
    """The account as a caller. Raises ``Forbidden`` if none of its groups has a scope."""
    scopes = frozenset[Scope]().union(*(allowed.get(group, ()) for group in ("*", *account.groups)))
    if not scopes:
        raise Forbidden(f"no group of the account {account.name!r} may use the console; ask an administrator")
    return Caller(key_id=account.id, name=account.name, scopes=scopes)


def parse_group_scopes(field: str, entries: Iterable[str]) -> GroupScopes:
    """The scopes of groups in a setting.

    >>> found = parse_group_scopes("VQC_CONSOLE_GROUPS", ["inspectors=stage-b+review", "*=stage-b"])
    >>> sorted(found["inspectors"]), sorted(found["*"])
    ([<Scope.REVIEW: 'review'>, <Scope.STAGE_B: 'stage-b'>], [<Scope.STAGE_B: 'stage-b'>])

    Raises:
        InvalidValue: anything but ``GROUP=SCOPE+SCOPE``.
    """
    found: dict[str, frozenset[Scope]] = {}
    for entry in entries:
        group, separator, scopes = entry.rpartition("=")
        names = {name.strip() for name in scopes.split("+")}
        if not separator or not group.strip() or not names <= set(Scope):
            raise InvalidValue(field, entry, f"must be GROUP=SCOPE+SCOPE with scopes of: {', '.join(Scope)}")
        found[group.strip()] = frozenset(map(Scope, names))
    return found
