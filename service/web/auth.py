"""API keys: default deny over every path, an explicit public list, scopes, expiry.

A key is ``vqc_<id>_<secret>``; only its SHA-256 is stored. The key file is YAML, a list of
``{id, sha256, scopes, expires_at?}``, written by ``vqc keys create``.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import cast

import yaml
from pydantic import AwareDatetime, BaseModel, ConfigDict, TypeAdapter, ValidationError
from starlette.requests import Request

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
    """One key of the key file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    sha256: str
    scopes: frozenset[Scope]
    expires_at: AwareDatetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who sent a request. ``key_id`` is None if the service has no keys."""

    key_id: str | None
    scopes: frozenset[Scope]


class KeyRing:
    """The valid keys. ``None`` admits every caller: for loopback only."""

    def __init__(self, keys: Iterable[ApiKey] | None) -> None:
        self._keys = None if keys is None else {key.id: key for key in keys}

    @property
    def admits_every_caller(self) -> bool:
        """Whether the service has no keys."""
        return self._keys is None

    def holder(self, key_id: str, *, now: datetime | None = None) -> Caller:
        """The caller whose key was presented earlier. Raises ``Unauthenticated`` if it was removed or has expired."""
        key = (self._keys or {}).get(key_id)
        if key is None:
            raise Unauthenticated("the API key is unknown")
        return _caller(key, now)

    def authenticate(self, authorization: str | None, *, now: datetime | None = None) -> Caller:
        """The caller that presents the ``Bearer`` key. Raises ``Unauthenticated``."""
        if self._keys is None:
            return Caller(key_id=None, scopes=frozenset(Scope))
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Unauthenticated("send the header Authorization: Bearer vqc_<id>_<secret>")
        key = self._keys.get(token.removeprefix("vqc_").partition("_")[0])
        presented = _sha256(token.strip())
        # Compared in constant time, also for an unknown id: the response time must not show which ids exist.
        if not hmac.compare_digest(presented, key.sha256 if key else "0" * 64) or key is None:
            raise Unauthenticated("the API key is unknown")
        return _caller(key, now)


def caller_of(request: Request) -> Caller:
    """The caller of a request that has passed the gate."""
    return cast(Caller, request.scope["vqc_caller"])


def require(request: Request, scope: Scope) -> None:
    """Raises ``Forbidden`` unless the request's key has the scope."""
    if scope not in caller_of(request).scopes:
        raise Forbidden(f"the request needs a key with the scope {scope.value!r}")


def read_keys(path: Path) -> list[ApiKey]:
    """The keys of a key file. Raises ``InvalidValue`` that names the file."""
    try:
        return TypeAdapter(list[ApiKey]).validate_python(yaml.safe_load(path.read_text("utf-8")) or [])
    except (OSError, yaml.YAMLError, ValidationError) as error:
        raise InvalidValue("api_keys_file", str(path), f"must be a readable key file: {error}") from error


def create_key(path: Path, scopes: Iterable[Scope], expires_at: datetime | None) -> str:
    """Adds a new key to the file, which is created with mode 0600. The returned text is the only copy of the secret."""
    keys = read_keys(path) if path.exists() else []
    key_id = secrets.token_hex(4)
    token = f"vqc_{key_id}_{secrets.token_urlsafe(24)}"
    keys.append(ApiKey(id=key_id, sha256=_sha256(token), scopes=frozenset(scopes), expires_at=expires_at))
    lines = [key.model_dump(mode="json", exclude_none=True) for key in keys]
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(lines, sort_keys=False), "utf-8")
    return token


def _caller(key: ApiKey, now: datetime | None) -> Caller:
    if key.expires_at is not None and key.expires_at <= (now or datetime.now(UTC)):
        raise Unauthenticated(f"the API key {key.id!r} expired at {key.expires_at.isoformat()}")
    return Caller(key_id=key.id, scopes=key.scopes)


def _sha256(token: str) -> str:
    return sha256(token.encode()).hexdigest()
