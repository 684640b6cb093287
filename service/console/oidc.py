"""Signs people in at an OpenID Connect provider: authorization code flow with PKCE, state and nonce.

The flow is authlib's; signature and claims of the id token are checked by joserfc.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any, cast

import httpx
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.httpx_client import AsyncOAuth2Client
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from typing_extensions import override

from service.console.accounts import Account
from service.console.sign_in_provider import SignInAttempt, SignInProvider
from service.platform.errors import SignInFailed

_TIMEOUT_S = 10.0
_METADATA_S = 3600.0
_ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
"""Signatures by a public key only: not ``none``, and no HMAC."""
_LEEWAY_S = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class OidcClient:
    """This service at the provider. ``groups_claim`` is the claim that has a person's groups."""

    issuer: str
    client_id: str
    client_secret: str | None
    groups_claim: str = "groups"
    scope: str = "openid profile email"


class OidcProvider(SignInProvider):
    """The provider of the settings."""

    def __init__(self, client: OidcClient, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._client = client
        self._transport = transport
        self._metadata: dict[str, Any] = {}
        self._keys: KeySet | None = None
        self._read_at = -_METADATA_S

    @override
    async def begin(self, redirect_uri: str, next: str) -> tuple[str, SignInAttempt]:
        metadata = await self._provider_metadata()
        attempt = SignInAttempt(
            state=secrets.token_urlsafe(32),
            nonce=secrets.token_urlsafe(32),
            verifier=secrets.token_urlsafe(48),
            next=next,
        )
        async with self._oauth(redirect_uri) as oauth:
            url, _ = oauth.create_authorization_url(
                metadata["authorization_endpoint"],
                state=attempt.state,
                nonce=attempt.nonce,
                code_verifier=attempt.verifier,
            )
        return cast(str, url), attempt

    @override
    async def finish(self, redirect_uri: str, code: str, attempt: SignInAttempt) -> Account:
        metadata = await self._provider_metadata()
        try:
            async with self._oauth(redirect_uri) as oauth:
                token = await oauth.fetch_token(
                    metadata["token_endpoint"],
                    code=code,
                    code_verifier=attempt.verifier,
                    grant_type="authorization_code",
                )
                claims = await self._verify(str(token.get("id_token", "")), attempt.nonce)
                if self._client.groups_claim not in claims and "userinfo_endpoint" in metadata:
                    claims = {**await self._userinfo(oauth, metadata["userinfo_endpoint"], claims["sub"]), **claims}
        except (httpx.HTTPError, OSError) as error:
            raise SignInFailed("the sign-in provider does not answer") from error
        except (AuthlibBaseError, JoseError, ValueError) as error:
            raise SignInFailed(f"the sign-in provider's answer is not valid: {error}") from error
        name = next((claims[one] for one in ("name", "preferred_username", "email") if claims.get(one)), claims["sub"])
        groups = claims.get(self._client.groups_claim) or ()
        listed = [groups] if isinstance(groups, str) else groups
        return Account(id=f"oidc:{claims['sub']}", name=str(name)[:128], groups=tuple(map(str, listed)))

    async def _userinfo(self, oauth: Any, url: str, subject: str) -> Mapping[str, Any]:
        answer = await oauth.get(url)
        answer.raise_for_status()
        claims: dict[str, Any] = answer.json()
        if claims.get("sub") != subject:
            raise ValueError("userinfo is about another person")
        return claims

    async def _verify(self, token: str, nonce: str) -> dict[str, Any]:
        """The claims of an id token that the provider has signed for this attempt."""
        registry = jwt.JWTClaimsRegistry(
            leeway=_LEEWAY_S,
            iss={"essential": True, "value": self._client.issuer},
            aud={"essential": True, "value": self._client.client_id},
            nonce={"essential": True, "value": nonce},
            sub={"essential": True},
            exp={"essential": True},
            iat={"essential": True},
        )
        try:
            decoded = jwt.decode(token, await self._key_set(), algorithms=_ALGORITHMS)
        except (JoseError, ValueError):  # the provider may have changed its keys since they were read
            decoded = jwt.decode(token, await self._key_set(again=True), algorithms=_ALGORITHMS)
        registry.validate(decoded.claims)
        if decoded.claims.get("azp", self._client.client_id) != self._client.client_id:
            raise ValueError("the id token is for another client")
        return decoded.claims

    async def _provider_metadata(self) -> Mapping[str, Any]:
        if monotonic() - self._read_at > _METADATA_S:
            url = f"{self._client.issuer.rstrip('/')}/.well-known/openid-configuration"
            found = await self._get_json(url)
            if found.get("issuer") != self._client.issuer:
                raise SignInFailed(f"{url} names another issuer: {found.get('issuer')!r}")
            if missing := {"authorization_endpoint", "token_endpoint", "jwks_uri"} - found.keys():
                raise SignInFailed(f"{url} does not name {', '.join(sorted(missing))}")
            self._metadata, self._keys, self._read_at = found, None, monotonic()
        return self._metadata

    async def _key_set(self, *, again: bool = False) -> KeySet:
        if self._keys is None or again:
            self._keys = KeySet.import_key_set(cast(Any, await self._get_json(self._metadata["jwks_uri"])))
        return self._keys

    async def _get_json(self, url: str) -> dict[str, Any]:
        try:
            async with httpx.AsyncClient(transport=self._transport, timeout=_TIMEOUT_S) as http:
                answer = await http.get(url)
            answer.raise_for_status()
            found: dict[str, Any] = answer.json()
        except (httpx.HTTPError, OSError, ValueError) as error:
            raise SignInFailed("the sign-in provider does not answer") from error
        return found

    def _oauth(self, redirect_uri: str) -> Any:
        # Any: authlib does not tell type checkers that its client is one of httpx.
        return AsyncOAuth2Client(
            self._client.client_id,
            self._client.client_secret,
            scope=self._client.scope,
            redirect_uri=redirect_uri,
            code_challenge_method="S256",
            timeout=_TIMEOUT_S,
            transport=self._transport,
        )
