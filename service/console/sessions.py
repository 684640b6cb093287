"""Who is at the browser: a signed cookie that script cannot read, the same for every API process with the same secret."""

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
    """``key_id`` is the API key that was signed in with, None for nobody yet; ``token`` proves that a request is the page's.

    ``name`` is what the person calls themselves: it goes into the record of a decision.
    """

    key_id: str | None
    name: str
    token: str
    expires_at: int


class Sessions:
    """Makes and reads the cookie. Without a ``secret`` one is drawn, and sessions end with the process."""

    def __init__(
        self,
        secret: bytes | None,
        *,
        lasting: timedelta = timedelta(hours=12),
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._secret = secret or secrets.token_bytes(32)
        self._lasting = lasting
        self._clock = clock

    def begun(self, *, key_id: str | None = None, name: str = "") -> Session:
        """A new session with a token of its own."""
        expires_at = int((self._clock() + self._lasting).timestamp())
        return Session(key_id=key_id, name=name, token=secrets.token_urlsafe(24), expires_at=expires_at)

    def written(self, session: Session) -> str:
        """The cookie's value."""
        payload = base64.urlsafe_b64encode(json.dumps(asdict(session)).encode()).decode()
        return f"{payload}.{self._signed(payload)}"

    def read(self, value: str | None) -> Session | None:
        """The session, or None for a cookie that is missing, changed or too old."""
        session = self._opened(value)
        return session if session and session.expires_at > self._clock().timestamp() else None

    def was_somebody(self, value: str | None) -> bool:
        """Whether the cookie is of somebody who had signed in, be it too old by now."""
        session = self._opened(value)
        return session is not None and session.key_id is not None

    def ageing(self, session: Session) -> bool:
        """Whether less than half of its time is left: then it is written again."""
        return session.expires_at - self._clock().timestamp() < self._lasting.total_seconds() / 2

    def renewed(self, session: Session, *, name: str | None = None) -> Session:
        """The same person with the same token, from now on."""
        fresh = self.begun(key_id=session.key_id, name=session.name if name is None else name)
        return Session(key_id=fresh.key_id, name=fresh.name, token=session.token, expires_at=fresh.expires_at)

    def _opened(self, value: str | None) -> Session | None:
        payload, _, signature = (value or "").rpartition(".")
        if not payload or not hmac.compare_digest(signature.encode(), self._signed(payload).encode()):
            return None
        return Session(**json.loads(base64.urlsafe_b64decode(payload)))

    def _signed(self, payload: str) -> str:
        return hmac.new(self._secret, payload.encode(), sha256).hexdigest()
