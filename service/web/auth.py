"""API keys: default deny over every path, an explicit public list, scopes, expiry.

A key is ``vqc_<id>_<secret>``; only its SHA-256 is stored (``key_file``).
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from hashlib import sha256
from typing import cast

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.types import Scope as ASGIScope

from service.platform.errors import Forbidden, Unauthenticated
from vqc.errors import InvalidValue

PUBLIC_PATHS = frozenset({"/healthz", "/readyz", "/readyz/captions", "/metrics", "/openapi.json"})
"""Answered without a key. Every other path needs one, whether it exists or not."""


class Scope(StrEnum):
    """What a key may do."""

    CAPTION = "caption"
    STAGE_A = "stage-a"
    STAGE_B = "stage-b"
    """Submit, read, cancel and retry tickets."""
    REVIEW = "review"
    """Review tickets."""
    ADMIN = "admin"
    """Replace models and change guidance."""


class ApiKey(BaseModel):
    """One key of the key file. ``name`` is its holder; keys of earlier versions have none."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    name: str = Field("", max_length=128)
    sha256: str
    scopes: frozenset[Scope]
    created_at: AwareDatetime | None = None
    expires_at: AwareDatetime | None = None
    rate_per_minute: int | None = Field(None, ge=1)
    quota_per_day: int | None = Field(None, ge=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who sent a request. ``key_id`` is None if the service has no keys; ``name`` is the key's holder, if it names one.

    ``rate_per_minute`` and ``quota_per_day`` are the key's own limits, None if it has those of the settings.
    """

    key_id: str | None
    scopes: frozenset[Scope]
    name: str = ""
    rate_per_minute: int | None = None
    quota_per_day: int | None = None

    @property
    def actor(self) -> str:
        """The caller in records of changes: holder and key id; ``anonymous`` if the service has no keys."""
        return f"{self.name} ({self.key_id})" if self.name and self.key_id else self.key_id or "anonymous"

    def name_on_record(self, entered: str) -> str:
        """The name that a decision of this caller is recorded under.

        It belongs to the key: its holder, or its id if it names none. Only without keys it is the name ``entered``.

        Raises:
            InvalidValue: the service has no keys and no name was entered.
        """
        name = entered.strip() if self.key_id is None else self.name or self.key_id
        if not name:
            raise InvalidValue("name", entered, "must be the name of the person who decides")
        return name


class KeyRing:
    """The valid keys, from ``keys`` or, at each request, from a function. ``None`` admits every caller: for loopback only."""

    def __init__(self, keys: Iterable[ApiKey] | Callable[[], Mapping[str, ApiKey]] | None) -> None:
        fixed = None if keys is None or callable(keys) else {key.id: key for key in keys}
        self._current = keys if callable(keys) else lambda: fixed or {}
        self.admits_every_caller = keys is None
        """Whether the service has no keys."""

    def holder(self, key_id: str, *, digest: str | None = None, now: datetime | None = None) -> Caller:
        """The caller whose key was presented earlier.

        Raises:
            Unauthenticated: the key was removed, has expired, or has another secret than that of the ``digest`` by now.
        """
        key = self._current().get(key_id)
        if key is None or (digest is not None and not hmac.compare_digest(digest, key.sha256)):
            raise Unauthenticated("the API key is unknown")
        return _caller(key, now)

    def digest(self, key_id: str) -> str:
        """The SHA-256 of a key, by which ``holder`` notices a new secret under the same id. Empty for an unknown key."""
        key = self._current().get(key_id)
        return key.sha256 if key else ""

    def authenticate(self, authorization: str | None, *, now: datetime | None = None) -> Caller:
        """The caller that presents the ``Bearer`` key. Raises ``Unauthenticated``."""
        if self.admits_every_caller:
            return Caller(key_id=None, scopes=frozenset(Scope))
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Unauthenticated("send the header Authorization: Bearer vqc_<id>_<secret>")
        key = self._current().get(token.strip().removeprefix("vqc_").partition("_")[0])
        # Compared in constant time, also for an unknown id: the response time must not show which ids exist.
        if not hmac.compare_digest(secret_digest(token.strip()), key.sha256 if key else "0" * 64) or key is None:
            raise Unauthenticated("the API key is unknown")
        return _caller(key, now)


def caller_of(request: Request) -> Caller:
    """The caller of a request that has passed the gate."""
    return caller_in(request.scope)


def caller_in(scope: ASGIScope) -> Caller:
    """As ``caller_of``, for an ASGI scope."""
    return cast(Caller, scope["vqc_caller"])


def require(request: Request, scope: Scope) -> None:
    """Raises ``Forbidden`` unless the request's key has the scope."""
    if scope not in caller_of(request).scopes:
        raise Forbidden(f"the request needs a key with the scope {scope.value!r}")


def secret_digest(token: str) -> str:
    """The SHA-256 of a key, in hex."""
    return sha256(token.encode()).hexdigest()


def _caller(key: ApiKey, now: datetime | None) -> Caller:
    if key.expires_at is not None and key.expires_at <= (now or datetime.now(UTC)):
        raise Unauthenticated(f"the API key {key.id!r} expired at {key.expires_at.isoformat()}")
    return Caller(
        key_id=key.id,
        scopes=key.scopes,
        name=key.name,
        rate_per_minute=key.rate_per_minute,
        quota_per_day=key.quota_per_day,
    )
