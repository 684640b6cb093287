"""Where a registry may lead this process, and what it learns there: redirects, pages, upload addresses, token services."""

from __future__ import annotations

import base64
import json
import socket
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from registry.errors import RegistryUnavailable, UnsafeAnswer
from registry.oci import Descriptor, digest_of
from registry.remote.guard import Guard
from registry.remote.store import RemoteStore
from registry.remote.transport import Transport

NAMES = {
    "registry.test": ["93.184.216.34"],
    "storage.test": ["93.184.216.35", "2606:2800:220:1:248:1893:25c8:1946"],
    "auth.test": ["93.184.216.36"],
    "mixed.test": ["93.184.216.37", "10.0.0.7"],
    "loop.test": ["127.0.0.1"],
    "harbor.corp": ["10.0.0.5"],
    "minio.corp": ["10.0.0.6"],
    "ula.corp": ["fd00::1"],
}
CONTENT = b"0123456789"
BLOB = Descriptor(media_type="a/b", digest=digest_of(CONTENT), size=len(CONTENT))
LOGIN = base64.b64encode(b"ann:secret").decode()


def resolve(host: str) -> list[str]:
    if host not in NAMES:
        raise OSError("no such name")
    return NAMES[host]


PUBLIC, PRIVATE, HERE = "https://registry.test", "https://harbor.corp", "http://127.0.0.1:5000"
ALLOWED = [
    (PUBLIC, "https://storage.test/blob"),
    (PUBLIC, "https://1.1.1.1/blob"),
    (PUBLIC, "https://registry.test:8443/blob"),
    (PUBLIC, "https://behind-a-proxy.test/blob"),
    (PRIVATE, "https://harbor.corp/token"),
    (PRIVATE, "https://minio.corp/blob"),
    (PRIVATE, "https://ula.corp/blob"),
    (PRIVATE, "https://storage.test/blob"),
    (HERE, "http://127.0.0.1:9000/blob"),
    (HERE, "http://localhost:9000/blob"),
    (HERE, "https://storage.test/blob"),
    (HERE, "https://minio.corp/blob"),
]
REFUSED = [
    (PUBLIC, "http://registry.test/blob"),
    (PUBLIC, "http://storage.test/blob"),
    (PUBLIC, "http://127.0.0.1/blob"),
    (PUBLIC, "https://127.0.0.1/blob"),
    (PUBLIC, "https://loop.test/blob"),
    (PUBLIC, "https://localhost/blob"),
    (PUBLIC, "https://mixed.test/blob"),
    (PUBLIC, "https://minio.corp/blob"),
    (PUBLIC, "https://ula.corp/blob"),
    (PUBLIC, "https://169.254.169.254/latest/meta-data"),
    (PUBLIC, "https://100.64.0.1/blob"),
    (PUBLIC, "https://0.0.0.0/blob"),
    (PUBLIC, "https://[::1]/blob"),
    (PUBLIC, "https://[::ffff:10.0.0.1]/blob"),
    (PUBLIC, "https://[64:ff9b::7f00:1]/blob"),
    (PUBLIC, "https://[fec0::1]/blob"),
    (PUBLIC, "https://2130706433/blob"),
    (PUBLIC, "https://0x7f.1/blob"),
    (PUBLIC, "https://127.1/blob"),
    (PRIVATE, "http://minio.corp/blob"),
    (PRIVATE, "https://127.0.0.1/blob"),
    (PRIVATE, "https://169.254.169.254/latest"),
    (PRIVATE, "https://[64:ff9b::7f00:1]/blob"),
    (PRIVATE, "https://[fe80::1]/blob"),
    (HERE, "http://169.254.169.254/latest"),
    (HERE, "https://169.254.169.254/latest"),
    (HERE, "https://[64:ff9b::7f00:1]/blob"),
    (HERE, "http://0.0.0.0/blob"),
    (HERE, "http://storage.test/blob"),
    (HERE, "http://minio.corp/blob"),
]


def resolve_numbers(host: str) -> list[str]:
    """What the system's resolver makes of a number that ``ipaddress`` does not read."""
    return ["127.0.0.1"] if host in ("2130706433", "0x7f.1", "127.1", "localhost") else resolve(host)


@pytest.mark.parametrize(("base", "target"), ALLOWED)
def test_a_registry_may_lead_where_it_is_itself(base: str, target: str) -> None:
    Guard("oci://x", httpx.URL(base), resolve=resolve_numbers).check_request(httpx.Request("GET", target))


@pytest.mark.parametrize(("base", "target"), REFUSED)
def test_a_registry_may_not_lead_further_inside_nor_out_of_tls(base: str, target: str) -> None:
    guard = Guard("oci://x", httpx.URL(base), resolve=resolve_numbers)
    with pytest.raises(UnsafeAnswer, match="nothing was sent there"):
        guard.check_request(httpx.Request("GET", target))


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The names above, and a login for ``registry.test``."""
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, *rest, **more: [(0, 0, 0, "", (a, 0)) for a in resolve(host)]
    )
    monkeypatch.setattr("registry.remote.transport.sleep", lambda seconds: None)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps({"auths": {"registry.test": {"auth": LOGIN}}}))


class Seen:
    """Answers by ``answer``, and keeps each request's host and password or token."""

    def __init__(self, answer: Callable[[httpx.Request], httpx.Response]) -> None:
        self.requests: list[tuple[str, str | None]] = []
        self._answer = answer

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append((request.url.host, request.headers.get("authorization")))
        return self._answer(request)

    def store(self, host: str = "registry.test") -> RemoteStore:
        return RemoteStore(Transport(host, "vqc", inner=httpx.MockTransport(self)))

    def sent_to(self, host: str) -> list[str | None]:
        return [sent for name, sent in self.requests if name == host]


INSIDE = "https://minio.corp/x"


@pytest.mark.usefixtures("names")
@pytest.mark.parametrize("target", [INSIDE, "http://storage.test/x", "http://registry.test/v2/vqc/x"])
@pytest.mark.parametrize("kind", ["redirect", "page", "upload", "chunks"])
def test_nothing_is_sent_to_an_address_that_the_registry_may_not_name(kind: str, target: str, tmp_path: Path) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "HEAD":
            return httpx.Response(404)
        if request.method == "POST":
            return httpx.Response(202, headers={"location": target})
        if kind == "page":
            return httpx.Response(200, json={"tags": []}, headers={"Link": f'<{target}>; rel="next"'})
        return httpx.Response(307, headers={"location": target})

    seen = Seen(answer)
    store = seen.store()
    file = tmp_path / "weights"
    file.write_bytes(bytes(5 * 2**20))
    uses = {
        "redirect": lambda: store.check(BLOB, lambda done: None),
        "page": store.versions,
        "upload": lambda: store.add_bytes(CONTENT, "a/b"),
        "chunks": lambda: store.add_file(file, "a/b", lambda done: None),
    }
    with pytest.raises(UnsafeAnswer):
        uses[kind]()
    assert {host for host, _ in seen.requests} == {"registry.test"}
    assert len(seen.requests) <= 2


@pytest.mark.usefixtures("names")
@pytest.mark.parametrize("scheme", ["Basic", "Bearer"])
def test_a_redirect_to_storage_carries_neither_password_nor_token(scheme: str) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.host == "auth.test":
            return httpx.Response(200, json={"token": "t1"})
        if request.url.host == "storage.test":
            return httpx.Response(200, stream=httpx.ByteStream(CONTENT))
        if "authorization" not in request.headers:
            return httpx.Response(401, headers={"www-authenticate": f'{scheme} realm="https://auth.test/token"'})
        return httpx.Response(307, headers={"location": "https://storage.test/blob"})

    seen = Seen(answer)
    assert seen.store().read(BLOB) == CONTENT
    assert seen.sent_to("storage.test") == [None]
    assert seen.sent_to("auth.test") == ([f"Basic {LOGIN}"] if scheme == "Bearer" else [])


@pytest.mark.usefixtures("names")
@pytest.mark.parametrize("host", ["storage.test", "registry.test:8443"])
def test_a_password_is_not_sent_where_another_host_asks_for_it(host: str) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.netloc == b"registry.test":
            return httpx.Response(307, headers={"location": f"https://{host}/blob"})
        return httpx.Response(401, headers={"www-authenticate": f'Bearer realm="https://{host}/token"'})

    seen = Seen(answer)
    with pytest.raises(RegistryUnavailable, match="401"):
        seen.store().read(BLOB)
    assert [sent for _, sent in seen.requests] == [None, None]


@pytest.mark.usefixtures("names")
@pytest.mark.parametrize(
    "realm",
    [
        "https://minio.corp/token",
        "https://127.0.0.1/token",
        "http://127.0.0.1/token",
        "http://auth.test/token",
        "x",
        "",
    ],
)
def test_a_token_service_inside_or_without_tls_gets_nothing(realm: str) -> None:
    seen = Seen(lambda request: httpx.Response(401, headers={"www-authenticate": f'Bearer realm="{realm}"'}))
    with pytest.raises(UnsafeAnswer):
        seen.store().versions()
    assert seen.requests == [("registry.test", None)]


@pytest.mark.usefixtures("names")
@pytest.mark.parametrize("target", ["https://storage.test/token", INSIDE])
def test_a_token_service_that_leads_elsewhere_does_not_take_the_password_along(target: str) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.host == "auth.test":
            return httpx.Response(307, headers={"location": target})
        if request.url.host == "registry.test":
            return httpx.Response(401, headers={"www-authenticate": 'Bearer realm="https://auth.test/token"'})
        return httpx.Response(200, json={"tags": []})

    seen = Seen(answer)
    with pytest.raises(RegistryUnavailable):
        seen.store().versions()
    assert seen.sent_to("auth.test") == [f"Basic {LOGIN}"]
    assert seen.sent_to("storage.test") in ([], [None])
    assert seen.sent_to("minio.corp") == []


@pytest.mark.usefixtures("names")
@pytest.mark.parametrize("token", ["", None, 1, "a\nb", "é", {"a": 1}, "a" * 70_000])
def test_a_token_that_cannot_be_sent_is_none(token: object) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.host == "auth.test":
            return httpx.Response(200, json={"token": token})
        return httpx.Response(401, headers={"www-authenticate": 'Bearer realm="https://auth.test/token"'})

    with pytest.raises(RegistryUnavailable, match="no token"):
        Seen(answer).store().versions()


@pytest.mark.usefixtures("names")
@pytest.mark.parametrize("host", ["registry.test:443", "Registry.Test"])
def test_a_login_is_used_however_the_host_is_written(host: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"auths": {host: {"auth": LOGIN}}}))

    def answer(request: httpx.Request) -> httpx.Response:
        if request.headers.get("authorization") == f"Basic {LOGIN}":
            return httpx.Response(200, json={"tags": []})
        return httpx.Response(401, headers={"www-authenticate": "Basic realm=x"})

    assert Seen(answer).store(host).versions() == []
