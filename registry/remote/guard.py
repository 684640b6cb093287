"""What a remote registry may make this process do: where its answers may lead, and how many bytes of them are read.

Hooks of the HTTP client, so every request is checked: redirects, token services, upload addresses and pages. A registry on the
internet may lead only to the internet, one in a private network not to this machine, and TLS is never left. (TLS also covers
a name that resolves to another address between the check and the connection: that host has no certificate for it.)
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence
from ipaddress import ip_address, ip_network
from time import monotonic

import httpx
from typing_extensions import override

from registry.errors import RegistryUnavailable, UnsafeAnswer
from registry.oci import MAX_DOCUMENT
from vqc.addresses import is_public

STREAM = {"registry.stream": True}
"""The extension of a request whose reader stops at the size that a descriptor declares."""

_MAX_ERROR = 64 * 2**10
_DOCUMENT_S = 120.0
_PUBLIC, _PRIVATE, _THIS_MACHINE, _NOWHERE = range(4)
_PRIVATE_NETWORKS = [
    ip_network(network) for network in ("10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
]
"""What else is not public leads nowhere: link-local (metadata services), multicast, addresses that wrap another."""

_WHY = {
    _PRIVATE: "a private address",
    _THIS_MACHINE: "an address of this machine",
    _NOWHERE: "a link-local or reserved address",
}

Resolve = Callable[[str], Sequence[str]]
"""Host to IP addresses. Raises ``OSError``."""


def resolve(host: str) -> Sequence[str]:
    """The addresses that the system's resolver returns. Raises ``OSError``."""
    return [str(entry[4][0]) for entry in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]


class Guard:
    """The hooks for the client of one registry."""

    def __init__(self, where: str, base: httpx.URL, *, resolve: Resolve = resolve) -> None:
        self._where = where
        self._base = base
        self._resolve = resolve

    def check_request(self, request: httpx.Request) -> None:
        """Raises UnsafeAnswer before a request that the registry must not cause."""
        url = request.url
        if url.scheme != "https" and (url.scheme, self._base.scheme) != ("http", "http"):
            raise self._unsafe(url, "without TLS")
        if url.host == self._base.host:
            return
        reach = self._reach(url.host)
        if url.scheme == "http" and reach != _THIS_MACHINE:
            raise self._unsafe(url, "without TLS")
        if reach == _NOWHERE or reach > self._reach(self._base.host):
            raise self._unsafe(url, _WHY[reach])

    def limit_response(self, response: httpx.Response) -> None:
        """Bounds the body of a response, and leaves it as it was sent: nothing is decompressed."""
        ok = response.is_success
        if response.headers.pop("content-encoding", "identity") != "identity" and ok:
            raise UnsafeAnswer(self._where, f"{response.request.url.path} is compressed, which was not asked for")
        if not (ok and STREAM.items() <= response.request.extensions.items()):
            assert isinstance(response.stream, httpx.SyncByteStream)
            response.stream = _Limited(response.stream, response, self._where, MAX_DOCUMENT if ok else _MAX_ERROR)

    def _reach(self, host: str) -> int:
        """How far inside a host is: the innermost of its addresses. A name that does not resolve here is a proxy's affair."""
        try:
            addresses = [str(ip_address(host.strip("[]")))]
        except ValueError:
            try:
                addresses = self._resolve(host)
            except OSError:
                return _PUBLIC
        return max(map(_reach_of, addresses), default=_PUBLIC)

    def _unsafe(self, url: httpx.URL, why: str) -> UnsafeAnswer:
        target = f"{url.scheme}://{url.netloc.decode()}"
        return UnsafeAnswer(self._where, f"it leads to {target}, {why}; nothing was sent there")


class _Limited(httpx.SyncByteStream):
    """A body that ends. A document that is too long or too slow fails; the text of an error is cut."""

    def __init__(self, body: httpx.SyncByteStream, response: httpx.Response, where: str, limit: int) -> None:
        self._body = body
        self._response = response
        self._where = where
        self._limit = limit

    @override
    def __iter__(self) -> Iterator[bytes]:
        left = self._limit
        deadline = monotonic() + _DOCUMENT_S
        path = self._response.request.url.path
        for block in self._body:
            left -= len(block)
            if left < 0 and not self._response.is_success:
                yield block[:left]
                return
            if left < 0:
                raise UnsafeAnswer(self._where, f"{path} is longer than {self._limit:,} bytes")
            if monotonic() > deadline:
                raise RegistryUnavailable(self._where, f"{path} did not arrive within {_DOCUMENT_S:g} s")
            yield block

    @override
    def close(self) -> None:
        self._body.close()


def _reach_of(address: str) -> int:
    if is_public(address):
        return _PUBLIC
    parsed = ip_address(address.partition("%")[0])
    inner = getattr(parsed, "ipv4_mapped", None) or parsed
    if inner.is_loopback:
        return _THIS_MACHINE
    return _PRIVATE if any(inner in network for network in _PRIVATE_NETWORKS) else _NOWHERE
