"""Which IP addresses are on the public internet.

``ipaddress.is_global`` alone is not enough: it knows nothing of an IPv4 address inside an IPv6 address.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

_NOT_PUBLIC_V4 = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",  # this network, unspecified
            "10.0.0.0/8",
            "100.64.0.0/10",  # shared by carriers
            "127.0.0.0/8",
            "169.254.0.0/16",  # link-local, metadata services of clouds
            "172.16.0.0/12",
            "192.0.0.0/24",  # protocol assignments
            "192.0.2.0/24",  # documentation
            "192.88.99.0/24",  # 6to4 relays
            "192.168.0.0/16",
            "198.18.0.0/15",  # benchmarks
            "198.51.100.0/24",  # documentation
            "203.0.113.0/24",  # documentation
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved, broadcast
        ),
    )
)
_PUBLIC_V6 = IPv6Network("2000::/3")
"""The only part of IPv6 that is assigned to the internet."""
_NOT_PUBLIC_V6 = tuple(
    map(
        IPv6Network,
        (
            "2001::/23",  # protocol assignments: Teredo, benchmarks, ORCHID
            "2001:db8::/32",  # documentation
            "2002::/16",  # 6to4: the address inside decides where it leads
            "3fff::/20",  # documentation
        ),
    )
)


def is_public(address: str) -> bool:
    """Whether an address is on the public internet. Addresses that wrap an IPv4 address (mapped, NAT64, 6to4, Teredo) are not.

    Raises ``ValueError`` for what is no address.

    >>> [is_public(a) for a in ("8.8.8.8", "10.0.0.1", "169.254.169.254", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1")]
    [True, False, False, False, False, False]
    """
    parsed = ip_address(address.partition("%")[0])
    if isinstance(parsed, IPv4Address):
        return parsed.is_global and not any(parsed in network for network in _NOT_PUBLIC_V4)
    if parsed.ipv4_mapped is not None:  # a resolver may write an IPv4 address this way
        return is_public(str(parsed.ipv4_mapped))
    return _is_public_v6(parsed)


def _is_public_v6(parsed: IPv6Address) -> bool:
    return parsed.is_global and parsed in _PUBLIC_V6 and not any(parsed in network for network in _NOT_PUBLIC_V6)
