"""Fetches a photo by URL without becoming a way into the operator's network.

https only, host on the allow-list, no user info, no IP literals, no redirects, no proxy from the environment; every
address the name resolves to must be public, and the connection goes to the address that was checked.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import IPv6Address, ip_address
from urllib.parse import urlsplit

import httpx

from service.domain.errors import FetchFailed, UrlRejected

_HOST = re.compile(r"(?=.{4,253}$)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]")

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Host and port to IP addresses."""


async def resolve(host: str, port: int) -> Sequence[str]:
    """The addresses that the system's resolver names. Raises ``OSError``."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


def is_public(address: str) -> bool:
    """Whether an address is on the public internet, looked at through IPv4-mapped and 6to4 disguises too.

    >>> [is_public(a) for a in ("8.8.8.8", "10.0.0.1", "169.254.169.254", "::1", "::ffff:127.0.0.1", "2002:7f00:1::")]
    [True, False, False, False, False, False]
    """
    parsed = ip_address(address.partition("%")[0])
    if isinstance(parsed, IPv6Address):
        inner = parsed.ipv4_mapped or parsed.sixtofour
        if inner is not None:
            return is_public(str(inner))
    return parsed.is_global and not parsed.is_multicast


class PhotoFetcher:
    """Fetches photos from allow-listed hosts: exact names, or ``*.example.com`` for any name below."""

    def __init__(
        self,
        allowed_hosts: Sequence[str],
        *,
        max_bytes: int,
        timeout_s: float = 10.0,
        resolve: Resolve = resolve,
        allowed_address: Callable[[str], bool] = is_public,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._allowed_hosts = tuple(host.lower() for host in allowed_hosts)
        self._max_bytes = max_bytes
        self._timeout_s = timeout_s
        self._resolve = resolve
        self._allowed_address = allowed_address
        self._tls = tls

    async def __call__(self, url: str) -> bytes:
        """The body behind ``url``.

        Raises:
            UrlRejected: the URL is not allowed; nothing was connected to.
            FetchFailed: the host did not deliver it.
        """
        host, port, target = self._checked(url)
        try:
            async with asyncio.timeout(self._timeout_s):
                address = await self._address(url, host, port)
                return await self._download(host, port, address, target)
        except TimeoutError as error:
            raise FetchFailed(f"{host} did not deliver the photo within {self._timeout_s:g} s") from error
        except (httpx.HTTPError, OSError) as error:
            raise FetchFailed(f"{host} did not deliver the photo: {error or type(error).__name__}") from error

    def _checked(self, url: str) -> tuple[str, int, str]:
        """Host, port and request target of an allowed URL."""
        if not self._allowed_hosts:
            raise UrlRejected(url, "fetching by URL is off; send the photo itself, or allow hosts (VQC_URL_HOSTS)")
        if not url.isascii() or re.search(r"[\x00-\x20\x7f\\]", url):
            raise UrlRejected(url, "must be plain ASCII without spaces, controls or backslashes")
        try:
            parts = urlsplit(url)
            port = parts.port or 443
        except ValueError as error:
            raise UrlRejected(url, f"must be a well-formed URL: {error}") from error
        host = (parts.hostname or "").lower()
        if parts.scheme != "https" or "@" in parts.netloc or not _HOST.fullmatch(host):
            raise UrlRejected(url, "must be https://<full host name>/… without user or IP address")
        name = host if port == 443 else f"{host}:{port}"
        if not any(name == rule or (rule.startswith("*.") and name.endswith(rule[1:])) for rule in self._allowed_hosts):
            raise UrlRejected(url, f"the host must be one of: {', '.join(self._allowed_hosts)}")
        return host, port, (parts.path or "/") + (f"?{parts.query}" if parts.query else "")

    async def _address(self, url: str, host: str, port: int) -> str:
        """One address of the host; all of them must be allowed, so that no answer of the resolver can be abused."""
        addresses = await self._resolve(host, port)
        if not addresses or not all(map(self._allowed_address, addresses)):
            raise UrlRejected(url, "the host must resolve to public addresses only")
        return addresses[0]

    async def _download(self, host: str, port: int, address: str, target: str) -> bytes:
        literal = f"[{address}]" if ":" in address else address
        async with (
            httpx.AsyncClient(trust_env=False, follow_redirects=False, verify=self._tls or True) as client,
            client.stream(
                "GET",
                f"https://{literal}:{port}{target}",
                headers={"Host": host if port == 443 else f"{host}:{port}", "Accept": "image/*"},
                extensions={"sni_hostname": host},
            ) as response,
        ):
            if response.status_code != 200:
                raise FetchFailed(f"{host} answered {response.status_code}; redirects are not followed")
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > self._max_bytes:
                    raise FetchFailed(f"{host} sends more than {self._max_bytes:,} bytes")
            return bytes(body)
