"""Allowed ``Host`` headers; protects against DNS rebinding.

Without keys the service trusts every browser on its machine. A foreign page can make its own domain name resolve to the
service's address, and its requests then count as same-origin; only the ``Host`` header shows the foreign name. With keys the
page has none to send.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address

from service.platform.errors import HostRefused


class HostRule:
    """Admits loopback names and addresses and the ``allowed`` hosts: ``*.example.com`` for every name below, ``*`` for any.

    With keys (``keyed``) and without a list, it admits any host.
    """

    def __init__(self, allowed: Sequence[str] = (), *, keyed: bool) -> None:
        self._allowed = tuple(map(str.lower, allowed))
        self._any = "*" in allowed or (keyed and not allowed)

    def check(self, host_header: str) -> None:
        """Raises ``HostRefused`` if the ``Host`` header names no allowed host."""
        if self._any:
            return
        name = _name(host_header)
        if is_loopback(name) or any(
            name == rule or (rule.startswith("*.") and name.endswith(rule[1:])) for rule in self._allowed
        ):
            return
        raise HostRefused(host_header, self._allowed)


def is_loopback(host: str) -> bool:
    """Whether only processes on this machine can reach the address.

    >>> [is_loopback(host) for host in ("localhost", "127.0.0.1", "::1", "0.0.0.0", "example.com")]
    [True, True, True, False, False]
    """
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _name(host_header: str) -> str:
    """The host of a ``Host`` header, lower case, without its port.

    >>> [_name(header) for header in ("LocalHost:8080", "[::1]:8080", "127.0.0.1", "a.example.", "[::1")]
    ['localhost', '::1', '127.0.0.1', 'a.example', '']
    """
    host = host_header.strip().lower()
    if host.startswith("["):
        name, closed, _ = host[1:].partition("]")
        return name if closed else ""
    return host.partition(":")[0].removesuffix(".")
