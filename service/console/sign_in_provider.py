"""The port of sign-in providers: an address at the provider, and the account of the person who comes back from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from service.console.accounts import Account


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInAttempt:
    """What a browser must bring back from the provider, in a cookie of its own. ``next`` is the page that was wanted."""

    state: str
    nonce: str
    verifier: str
    next: str


class SignInProvider(Protocol):
    """Its methods raise ``SignInFailed`` with a reason for the person."""

    async def begin(self, redirect_uri: str, next: str) -> tuple[str, SignInAttempt]:
        """The address at the provider, and what its answer is checked with."""
        ...

    async def finish(self, redirect_uri: str, code: str, attempt: SignInAttempt) -> Account:
        """The account of the person who comes back with ``code``."""
        ...
