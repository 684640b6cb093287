from __future__ import annotations

import base64
import json
from pathlib import Path

import httpx
import pytest

from registry.errors import RegistryUnavailable
from registry.remote.credentials import RegistryAuth, find_login

LOGIN = base64.b64encode(b"ann:secret").decode()


@pytest.fixture
def docker_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    return tmp_path / "config.json"


class Server:
    """A registry that wants a token, its token service, and a storage host that wants none."""

    def __init__(self, challenge: str) -> None:
        self.challenge = challenge
        self.valid = "t1"
        self.seen: list[tuple[str, str | None]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        sent = request.headers.get("authorization")
        self.seen.append((str(request.url), sent))
        if request.url.host == "auth.test":
            return httpx.Response(200, json={"token": self.valid})
        if request.url.path == "/v2/moved":
            return httpx.Response(307, headers={"location": "https://storage.test/blob"})
        if request.url.host == "storage.test" or sent in (f"Bearer {self.valid}", f"Basic {LOGIN}"):
            return httpx.Response(200, text="content")
        return httpx.Response(401, headers={"www-authenticate": self.challenge})

    def client(self) -> httpx.Client:
        auth = RegistryAuth("registry.test")
        return httpx.Client(
            transport=httpx.MockTransport(self), auth=auth, base_url="https://registry.test/v2/", follow_redirects=True
        )


BEARER = 'Bearer realm="https://auth.test/token",service="registry.test",scope="repository:team/vqc:pull,push"'


def test_a_token_is_asked_for_once_and_again_when_it_has_expired(docker_config: Path) -> None:
    docker_config.write_text(json.dumps({"auths": {"registry.test": {"auth": LOGIN}}}))
    server = Server(BEARER)
    with server.client() as client:
        assert [client.get("a").status_code for _ in range(3)] == [200, 200, 200]
        assert [url for url, _ in server.seen].count("https://registry.test/v2/a") == 4
        url, sent = server.seen[1]
        assert dict(httpx.URL(url).params) == {"service": "registry.test", "scope": "repository:team/vqc:pull,push"}
        assert sent == f"Basic {LOGIN}"
        server.valid = "t2"
        assert client.get("a").status_code == 200


def test_a_public_registry_gives_tokens_to_anybody(docker_config: Path) -> None:
    server = Server(BEARER)
    with server.client() as client:
        assert client.get("a").status_code == 200
    assert server.seen[1][1] is None


def test_a_password_goes_to_the_registry_and_nobody_else(docker_config: Path) -> None:
    docker_config.write_text(json.dumps({"auths": {"https://registry.test": {"auth": LOGIN}}}))
    server = Server('Basic realm="registry"')
    with server.client() as client:
        assert client.get("a").status_code == 200
        assert client.get("moved").text == "content"
        assert client.get("https://storage.test/direct").text == "content"
    assert [sent for url, sent in server.seen if "storage.test" in url] == [None, None]


def test_without_a_login_the_answer_is_the_registrys(docker_config: Path) -> None:
    with Server('Basic realm="registry"').client() as client:
        assert client.get("a").status_code == 401


def test_a_token_service_without_tls_gets_nothing(docker_config: Path) -> None:
    docker_config.write_text(json.dumps({"auths": {"registry.test": {"auth": LOGIN}}}))
    server = Server('Bearer realm="http://auth.test/token",service="x"')
    with server.client() as client, pytest.raises(RegistryUnavailable, match="has no TLS"):
        client.get("a")
    assert not any("auth.test" in url for url, _ in server.seen)


def test_a_streamed_body_is_not_sent_twice(docker_config: Path) -> None:
    server = Server(BEARER)
    with server.client() as client:
        assert client.patch("a", content=iter([b"x"]), headers={"Content-Length": "1"}).status_code == 401
        assert client.get("upload").status_code == 200
        assert client.patch("a", content=iter([b"x"]), headers={"Content-Length": "1"}).status_code == 200


def test_a_credential_helper_is_asked(docker_config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    docker_config.write_text(json.dumps({"credsStore": "test"}))
    assert find_login("registry.test") is None
    helper = tmp_path / "docker-credential-test"
    helper.write_text(
        '#!/bin/sh\nread host\nprintf \'{"Username": "ann", "Secret": "secret", "ServerURL": "%s"}\' "$host"\n'
    )
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert find_login("registry.test") == LOGIN


@pytest.mark.parametrize("content", ["", "{", '{"auths": null}'])
def test_a_configuration_without_a_login_is_none(docker_config: Path, content: str) -> None:
    docker_config.write_text(content)
    assert find_login("registry.test") is None
