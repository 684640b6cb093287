"""Sessions in a signed cookie, which every API process with the same secret can read and scripts cannot."""

from __future__ import annotations

import base64
import hmac
import json
import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256

COOKIE = "vqc_session"


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """``key_id`` is the API key that signed in, None before; ``token`` protects forms against request forgery (CSRF).

    ``name`` is the name that the person entered; it is recorded with their decisions.
    """

    key_id: str | None
    name: str
    token: str
    expires_at: int


class Sessions:
    """Creates and reads the cookie. Without a ``secret`` a random one is used, and sessions end with the process."""

    def __init__(
        self,
        secret: bytes | None,
        *,
        lifetime: timedelta = timedelta(hours=12),
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._secret = secret or secrets.token_bytes(32)
        self._lifetime = lifetime
        self._clock = clock

    def create(self, *, key_id: str | None = None, name: str = "") -> Session:
        """A new session with a new token."""
        expires_at = int((self._clock() + self._lifetime).timestamp())
        return Session(key_id=key_id, name=name, token=secrets.token_urlsafe(24), expires_at=expires_at)

    def cookie_value(self, session: Session) -> str:
        """The cookie's value."""
        payload = base64.urlsafe_b64encode(json.dumps(asdict(session)).encode()).decode()
        return f"{payload}.{self._signature(payload)}"

    def read(self, value: str | None) -> Session | None:
        """The session, or None for a cookie that is missing, forged or expired."""
        session = self._decode(value)
        return session if session and session.expires_at > self._clock().timestamp() else None

    def was_signed_in(self, value: str | None) -> bool:
        """Whether the cookie, expired or not, is of a person who had signed in."""
        session = self._decode(value)
        return session is not None and session.key_id is not None

    def needs_renewal(self, session: Session) -> bool:
        """Whether less than half of the lifetime is left."""
        return session.expires_at - self._clock().timestamp() < self._lifetime.total_seconds() / 2

    def renew(self, session: Session, *, name: str | None = None) -> Session:
        """The same session with a full lifetime, and with another ``name`` if given."""
        # The token stays: forms of pages that are still open carry it.
        fresh = self.create(key_id=session.key_id, name=session.name if name is None else name)
        return Session(key_id=fresh.key_id, name=fresh.name, token=session.token, expires_at=fresh.expires_at)

    def _decode(self, value: str | None) -> Session | None:
        payload, _, signature = (value or "").rpartition(".")
        if not payload or not hmac.compare_digest(signature.encode(), self._signature(payload).encode()):
            return None
        return Session(**json.loads(base64.urlsafe_b64decode(payload)))

    def _signature(self, payload: str) -> str:
        return hmac.new(self._secret, payload.encode(), sha256).hexdigest()
