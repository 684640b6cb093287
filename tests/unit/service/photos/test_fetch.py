"""Fetching by URL: what is rejected before a connection, and a real TLS server for the rest."""

import asyncio
import ssl
from contextlib import asynccontextmanager

import pytest
import trustme

from service.photos.fetch import PhotoFetcher
from service.platform.errors import FetchFailed, UrlRejected
from tests.support.tls_server import tls_server
from vqc.addresses import is_public

HOSTS = ("photos.example.com", "*.cdn.example.com")


async def private(host: str, port: int):
    return {"photos.example.com": ["93.184.216.34", "10.0.0.1"], "a.cdn.example.com": ["169.254.169.254"]}[host]


async def unreachable(host: str, port: int):
    raise AssertionError(f"{host} must not be resolved")


@pytest.mark.parametrize(
    "url",
    [
        "http://photos.example.com/a.jpg",
        "ftp://photos.example.com/a.jpg",
        "https://other.example.com/a.jpg",
        "https://evilphotos.example.com/",
        "https://photos.example.com.evil.org/",
        "https://cdn.example.com/",
        "https://photos.example.com:8443/",
        "https://photos.example.com:99999/",
        "https://user@photos.example.com/",
        "https://photos.example.com@evil.org/",
        "https://photos.example.com\\@evil.org/",
        "https://evil.org\\.photos.example.com/",
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://2130706433/",
        "https://localhost/",
        "https://photos.example.com\n.evil.org/",
        "https://photos。example.com/",
        "//photos.example.com/",
        "https://",
        "https://[",
        "",
    ],
)
async def test_a_url_outside_the_list_is_rejected_before_dns(url):
    with pytest.raises(UrlRejected):
        await PhotoFetcher(HOSTS, max_bytes=100, resolve=unreachable)(url)


async def test_without_a_list_fetching_is_off():
    with pytest.raises(UrlRejected, match="VQC_URL_HOSTS"):
        await PhotoFetcher((), max_bytes=100, resolve=unreachable)("https://photos.example.com/")


@pytest.mark.parametrize("url", ["https://photos.example.com/a", "https://a.cdn.example.com/a"])
async def test_one_private_address_is_enough_to_reject(url):
    with pytest.raises(UrlRejected, match="public addresses"):
        await PhotoFetcher(HOSTS, max_bytes=100, resolve=private)(url)


def test_public_addresses_are_public():
    assert is_public("93.184.216.34")
    assert not is_public("100.64.0.1")
    assert not is_public("224.0.0.1")


@pytest.fixture(scope="session")
def authority():
    return trustme.CA()


@asynccontextmanager
async def https_server(authority, answer: bytes, hold_s: float = 0):
    """Serves ``answer`` to every request; yields a fetcher that trusts it and the requests seen."""
    seen: list[bytes] = []

    async def handle(reader, writer):
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        await asyncio.sleep(hold_s)
        writer.write(answer)
        await writer.drain()
        writer.close()

    async with tls_server(authority, "photos.example.com", handle) as (port, reaching):
        fetcher = PhotoFetcher(
            [f"photos.example.com:{port}"], max_bytes=100, timeout_s=0.5 if hold_s else 120, **reaching
        )
        yield lambda: fetcher(f"https://photos.example.com:{port}/a.jpg?x=1"), seen


async def test_an_allowed_photo_is_fetched_from_the_checked_address_under_its_own_name(authority):
    async with https_server(authority, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nphoto") as (fetch, seen):
        assert await fetch() == b"photo"
    assert seen[0].startswith(b"GET /a.jpg?x=1 ")
    assert b"Host: photos.example.com:" in seen[0]


@pytest.mark.parametrize(
    ("answer", "hold_s", "words"),
    [
        (
            b"HTTP/1.1 302 Found\r\nLocation: https://127.0.0.1/\r\nContent-Length: 0\r\n\r\n",
            0,
            "redirects are not followed",
        ),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", 0, "returned status 404"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n" + bytes(200), 0, "more than 100 bytes"),
        (b"nonsense\r\n\r\n", 0, "did not return"),
        (b"", 2, "within 0.5 s"),
    ],
)
async def test_a_response_without_a_photo_fails_with_the_reason(authority, answer, hold_s, words):
    async with https_server(authority, answer, hold_s) as (fetch, seen):
        with pytest.raises(FetchFailed, match=words):
            await fetch()
    assert len(seen) == 1


async def test_a_certificate_of_another_name_is_rejected(authority):
    async with https_server(authority, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as (fetch, seen):
        inner = fetch.__closure__[0].cell_contents
        inner._tls = ssl.create_default_context()
        with pytest.raises(FetchFailed, match="certificate"):
            await fetch()
    assert not seen
