"""Console sessions: a random id in a cookie that scripts cannot read. What it allows is stored by the service.

So a session ends for every copy of its cookie: by signing out, with its key, or when it is idle.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256

from service.console.session_store import SessionRecord, SessionStore

COOKIE = "vqc_session"
_BY_KEY, _BY_ACCOUNT, _ANONYMOUS = "s", "o", "a"
_ID = re.compile(r"[soa]\.[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """``id`` is the cookie's value; ``record`` is None before a person has signed in."""

    id: str
    record: SessionRecord | None = None

    @property
    def token(self) -> str:
        """Protects forms against request forgery (CSRF): no other site knows the id, from which it is made."""
        return sha256(f"csrf:{self.id}".encode()).hexdigest()


class Sessions:
    """Starts, reads and ends sessions. Their methods raise ``QueueUnavailable`` when the store does not answer."""

    def __init__(self, store: SessionStore, *, idle: timedelta = timedelta(hours=12)) -> None:
        self._store = store
        self._idle = idle

    def anonymous(self) -> Session:
        """A new session of a person who has not signed in. Nothing is stored, so strangers cannot fill the store."""
        return Session(id=_new_id(_ANONYMOUS))

    async def start(self, record: SessionRecord) -> Session:
        """A new session of a person who has signed in. Its id is new, so no one can have chosen it before."""
        session = Session(id=_new_id(_BY_KEY if record.account is None else _BY_ACCOUNT), record=record)
        await self._store.save(session.id, record, self._idle)
        return session

    async def read(self, cookie: str | None, *, renew: bool = True) -> Session | None:
        """The session of a cookie; None for a cookie that is missing, forged or of a session that has ended.

        ``renew`` starts the idle time again, but not of an account: whether it still exists is seen only when its person signs
        in again.
        """
        if cookie is None or not _ID.fullmatch(cookie):
            return None
        if not self.was_signed_in(cookie):
            return Session(id=cookie)
        renewed = renew and cookie.startswith(f"{_BY_KEY}.")
        record = await self._store.get(cookie, renew=self._idle if renewed else None)
        return record and Session(id=cookie, record=record)

    def was_signed_in(self, cookie: str | None) -> bool:
        """Whether the cookie is of a session, ended or not, whose person had signed in."""
        return cookie is not None and cookie.startswith((f"{_BY_KEY}.", f"{_BY_ACCOUNT}."))

    async def end(self, session: Session) -> None:
        """Ends the session for every copy of its cookie."""
        if session.record is not None:
            await self._store.delete(session.id)


def _new_id(kind: str) -> str:
    return f"{kind}.{secrets.token_urlsafe(32)}"
