"""The table of addresses: what is on the internet, and every disguise of what is not."""

from __future__ import annotations

import pytest

from vqc.addresses import is_public

PUBLIC = ["8.8.8.8", "1.1.1.1", "93.184.216.34", "192.0.1.1", "2606:4700::1111", "2a00:1450:4001::1", "::ffff:8.8.8.8"]
INSIDE = {
    "unspecified": ["0.0.0.0", "0.1.2.3", "::"],
    "loopback": ["127.0.0.1", "127.255.255.254", "::1"],
    "private": ["10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "fc00::1", "fd12:3456::1"],
    "shared by carriers": ["100.64.0.1", "100.127.255.255"],
    "link-local": ["169.254.169.254", "fe80::1", "fe80::1%eth0"],
    "site-local": ["fec0::1", "feff::1"],
    "protocol assignments": ["192.0.0.1", "192.0.0.9", "192.0.0.170", "2001:1::1", "192.88.99.1"],
    "benchmarks": ["198.18.0.1", "198.19.255.255", "2001:2::1"],
    "documentation": ["192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1", "3fff::1"],
    "multicast": ["224.0.0.1", "239.255.255.250", "ff02::1", "ff0e::1"],
    "reserved": ["240.0.0.1", "255.255.255.255", "4000::1", "100::1", "5f00::1"],
    "NAT64": ["64:ff9b::7f00:1", "64:ff9b::10.0.0.1", "64:ff9b::8.8.8.8", "64:ff9b:1::7f00:1", "64:ff9b:1:ffff::1"],
    "6to4": ["2002:7f00:1::", "2002:a00:1::1", "2002:a9fe:a9fe::", "2002:808:808::1"],
    "Teredo": ["2001:0:7f00:1::", "2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2"],
    "IPv4-mapped": ["::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:a9fe:a9fe", "::ffff:100.64.0.1", "::ffff:192.0.0.1"],
    "IPv4-compatible": ["::127.0.0.1", "::10.0.0.1", "::7f00:1", "::8.8.8.8"],
    "IPv4-translated": ["::ffff:0:127.0.0.1", "::ffff:0:8.8.8.8"],
    "ORCHID": ["2001:10::1", "2001:20::1"],
}


@pytest.mark.parametrize("address", PUBLIC)
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(("kind", "address"), [(kind, one) for kind, some in INSIDE.items() for one in some])
def test_an_address_inside_a_network_is_not_public(kind: str, address: str) -> None:
    assert not is_public(address), kind


@pytest.mark.parametrize("text", ["", "localhost", "8.8.8", "0x7f000001", "2130706433", "127.1"])
def test_what_is_no_address_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="address"):
        is_public(text)
