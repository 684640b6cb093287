"""Whose word about scheme and client counts: that of the proxies in the settings, and of no one else."""

from datetime import UTC, datetime

import httpx
import pytest
import structlog

from service.platform.settings import read_settings
from service.web.key_file import KeyFile
from tests.support.console_site import Clock, Site, keys_file
from tests.support.service_context import context_with
from vqc.errors import InvalidValue

BEHIND_TLS = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.9"}
TRUSTED = read_settings(trusted_proxies="10.0.0.0/8, 192.0.2.1,2001:db8::/32").trusted_proxies


async def seen(app, peer: str, **headers: str) -> tuple[bool, str]:
    """Whether the console's cookie is Secure for a request from ``peer``, and the client in the log."""
    transport = httpx.ASGITransport(app=app, client=(peer, 1234))
    async with httpx.AsyncClient(transport=transport, base_url="http://vqc.test") as client:
        with structlog.testing.capture_logs() as lines:
            answer = await client.get("/console/sign-in", headers={"Accept": "text/html"} | headers)
    [line] = [line for line in lines if line["event"] == "request"]
    return "; Secure" in answer.headers["set-cookie"], line["client"]


@pytest.mark.parametrize("peer", ["10.1.2.3", "192.0.2.1", "2001:db8::7", "::ffff:10.1.2.3"])
async def test_a_trusted_proxy_says_that_the_browser_uses_tls_and_who_it_is(console, peer):
    assert await seen(console, peer, **BEHIND_TLS) == (True, "203.0.113.9")
    assert await seen(console, peer) == (False, peer)


@pytest.mark.parametrize("peer", ["11.0.0.1", "192.0.2.2", "2001:db9::7", "::ffff:11.0.0.1", "127.0.0.1"])
async def test_no_one_else_does(console, peer):
    assert await seen(console, peer, **BEHIND_TLS) == (False, peer)


async def test_a_client_cannot_put_itself_before_the_proxy(console):
    chain = {"X-Forwarded-For": "127.0.0.1, 203.0.113.9, 10.0.0.2"}
    assert (await seen(console, "10.1.2.3", **chain))[1] == "203.0.113.9"


@pytest.mark.parametrize(
    ("value", "secure"),
    [
        ("https, http", True),
        ("https,https", True),
        ("HTTPS", True),
        ("http, https", False),
        ("wss", False),
        ("", False),
    ],
)
async def test_behind_several_proxies_the_scheme_of_the_browser_counts(console, value, secure):
    assert (await seen(console, "10.1.2.3", **{"X-Forwarded-Proto": value}))[0] is secure


async def test_the_cookie_of_a_sign_in_behind_tls_is_secure(site):
    transport = httpx.ASGITransport(app=site.app, client=("10.1.2.3", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://vqc.test", headers=BEHIND_TLS) as client:
        page = (await client.get("/console/sign-in")).text
        token = page.split('name="csrf-token" content="')[1].split('"')[0]
        cookie = client.cookies["vqc_session"]
        form = {"key": site.keys["all"], "csrf_token": token}
        answer = await client.post("/console/sign-in", data=form, headers={"Cookie": f"vqc_session={cookie}"})
    assert answer.status_code == 303
    assert "; Secure" in answer.headers["set-cookie"]


def test_loopback_is_trusted_by_default_and_nonsense_is_refused():
    assert read_settings().trusted_proxies == ("127.0.0.1", "::1")
    assert read_settings(trusted_proxies="*").trusted_proxies == ("*",)
    for wrong in ("ingress.example.com", "10.0.0.1/8", "10.0.0.0/33", "*,10.0.0.1"):
        with pytest.raises(InvalidValue, match="VQC_TRUSTED_PROXIES"):
            read_settings(trusted_proxies=wrong)


@pytest.fixture
def site(tmp_path) -> Site:
    path, keys = keys_file(tmp_path)
    return Site(context_with(None, keys=KeyFile(path), trusted_proxies=TRUSTED), Clock(datetime.now(UTC)), keys, path)


@pytest.fixture
def console(site):
    return site.app
