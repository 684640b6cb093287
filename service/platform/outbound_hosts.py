"""The check of URLs that callers give, against server-side request forgery: nothing inside the operator's network.

Only https, a host on the allow-list, no user info, no IP literals. Every address that the name resolves to must be public,
and the connection goes to the address that was checked.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from service.platform.errors import UrlRejected
from vqc.addresses import is_public

_HOST = re.compile(r"(?=.{4,253}$)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]")

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Host and port to IP addresses."""


async def resolve(host: str, port: int) -> Sequence[str]:
    """The addresses that the system's resolver returns. Raises ``OSError``."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The parts of an allowed URL."""

    url: str
    host: str
    port: int
    path: str

    @property
    def netloc(self) -> str:
        """The host as the ``Host`` header spells it."""
        return self.host if self.port == 443 else f"{self.host}:{self.port}"

    def at(self, address: str) -> str:
        """The URL with the checked address in place of the name."""
        literal = f"[{address}]" if ":" in address else address
        return f"https://{literal}:{self.port}{self.path}"


class AllowedHosts:
    """Exact names, or ``*.example.com`` for every name below. ``off`` says what to do if the list is empty."""

    def __init__(
        self,
        allowed: Sequence[str],
        *,
        off: str,
        field: str = "url",
        resolve: Resolve = resolve,
        allowed_address: Callable[[str], bool] = is_public,
    ) -> None:
        self._allowed = tuple(host.lower() for host in allowed)
        self._off = off
        self._field = field
        self._resolve = resolve
        self._allowed_address = allowed_address

    def target(self, url: str) -> Target:
        """The parts of an allowed URL. Raises ``UrlRejected``."""
        if not self._allowed:
            raise self._rejection(url, self._off)
        if not url.isascii() or re.search(r"[\x00-\x20\x7f\\]", url):
            raise self._rejection(url, "must be plain ASCII without spaces, controls or backslashes")
        try:
            parts = urlsplit(url)
            port = parts.port or 443
        except ValueError as error:
            raise self._rejection(url, f"must be a well-formed URL: {error}") from error
        host = (parts.hostname or "").lower()
        if parts.scheme != "https" or "@" in parts.netloc or not _HOST.fullmatch(host):
            raise self._rejection(url, "must be https://<full host name>/… without user or IP address")
        name = host if port == 443 else f"{host}:{port}"
        if not any(name == rule or (rule.startswith("*.") and name.endswith(rule[1:])) for rule in self._allowed):
            raise self._rejection(url, f"the host must be one of: {', '.join(self._allowed)}")
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return Target(url=url, host=host, port=port, path=path)

    async def address(self, target: Target) -> str:
        """One address of the host.

        Raises:
            UrlRejected: an address that is not public.
            OSError: the name does not resolve.
        """
        addresses = await self._resolve(target.host, target.port)
        # All of them: a resolver that mixes public and private addresses is not to be trusted with the choice.
        if not addresses or not all(map(self._allowed_address, addresses)):
            raise self._rejection(target.url, "the host must resolve to public addresses only")
        return addresses[0]

    def _rejection(self, url: str, valid: str) -> UrlRejected:
        return UrlRejected(url, valid, self._field)
