"""Which peers may say what the client's scheme and address are."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_network
from typing import Any, cast

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware


def behind_proxies(app: ASGIApp, trusted: Sequence[str]) -> ASGIApp:
    """``app``, where ``X-Forwarded-Proto`` and ``X-Forwarded-For`` of the ``trusted`` addresses and networks count.

    ``*`` trusts any peer; it must be the only entry. ``vqc_from_proxy`` in the scope says whether the peer is one of them.
    """
    networks = [] if "*" in trusted else [ip_network(one) for one in trusted]
    # A socket for IPv4 and IPv6 shows IPv4 peers as IPv6 addresses.
    mapped = [f"::ffff:{one.network_address}/{96 + one.prefixlen}" for one in networks if one.version == 4]
    hosts = [*map(str, networks), *mapped] or list(trusted)

    async def with_scheme(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["vqc_from_proxy"] and (scheme := _browser_scheme(scope)):
            scope["scheme"] = scheme
        await app(scope, receive, send)

    inner = ProxyHeadersMiddleware(cast(Any, with_scheme), hosts)

    async def behind(scope: Scope, receive: Receive, send: Send) -> None:
        # Before the client of the scope is replaced by the one that the proxy names.
        scope["vqc_from_proxy"] = (scope.get("client") or ("",))[0] in inner.trusted_hosts
        await inner(cast(Any, scope), cast(Any, receive), cast(Any, send))

    return behind


def _browser_scheme(scope: Scope) -> str | None:
    """The scheme that the browser uses. Behind several proxies the header is a list, which begins with the one next to it."""
    values = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-proto"]
    first = ",".join(values).partition(",")[0].strip().lower()
    return first if first in ("http", "https") else None
