"""A real OpenID Connect provider, run in a thread, and the person at it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it uses parts of authlib that are deprecated
    import oidc_provider_mock

PEOPLE = {
    "alice": {"name": "王工", "groups": ["inspectors", "staff"]},
    "bob": {"preferred_username": "bob", "groups": "leads"},
    "carol": {"email": "carol@example.com", "groups": ["visitors"]},
}


@dataclass(frozen=True)
class Provider:
    """The provider at ``issuer``."""

    issuer: str

    async def approve(self, url: str, person: str) -> str:
        """The address that the provider sends ``person`` back to, after they have signed in at ``url``."""
        async with httpx.AsyncClient(trust_env=False) as browser:
            answer = await browser.post(url, data={"sub": person})
        assert answer.status_code in (302, 303), answer.text
        return answer.headers["location"]


@contextmanager
def oidc_provider() -> Iterator[Provider]:
    """The provider while the block runs, with ``PEOPLE``."""
    users = [oidc_provider_mock.User(sub=sub, claims=claims) for sub, claims in PEOPLE.items()]
    with oidc_provider_mock.run_server_in_thread(user_claims=users, require_nonce=True) as server:
        yield Provider(f"http://localhost:{server.server_port}")
