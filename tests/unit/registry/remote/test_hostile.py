"""A server that sends more or fewer bytes than it said, pages without end, and redirects that ask for a password."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from registry import Corrupt
from registry.errors import RegistryUnavailable
from registry.oci import Descriptor, digest_of
from registry.remote.credentials import RegistryAuth
from registry.remote.store import RemoteStore
from registry.remote.transport import Transport

CONTENT = b"0123456789"
BLOB = Descriptor(media_type="a/b", digest=digest_of(CONTENT), size=len(CONTENT))


def store_of(handle) -> RemoteStore:
    transport = Transport("127.0.0.1:1", "vqc")
    transport._client = httpx.Client(
        transport=httpx.MockTransport(handle),
        base_url="http://127.0.0.1:1/v2/vqc/",
        follow_redirects=True,
        max_redirects=5,
    )
    return RemoteStore(transport)


class Endless(httpx.SyncByteStream):
    """Bytes without end; ``sent`` counts the blocks."""

    sent = 0

    def __iter__(self) -> Iterator[bytes]:
        while self.sent < 100:
            self.sent += 1
            yield bytes(2**18)
        raise AssertionError("it was read far beyond the descriptor's size")


@pytest.mark.parametrize("use", ["fetch", "read", "check"])
@pytest.mark.parametrize("kind", ["more", "endless", "fewer", "none"])
def test_a_blob_of_another_size_is_stopped_at_the_descriptors_size(tmp_path: Path, use: str, kind: str) -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        if kind == "endless":
            return httpx.Response(200, stream=Endless())
        return httpx.Response(
            200, stream=httpx.ByteStream({"more": CONTENT + b"x", "fewer": CONTENT[:5], "none": b""}[kind])
        )

    store = store_of(handle)
    uses = {
        "fetch": lambda: store.fetch(BLOB, tmp_path, lambda done: None),
        "read": lambda: store.read(BLOB),
        "check": lambda: store.check(BLOB, lambda done: None),
    }
    with pytest.raises(Corrupt):
        uses[use]()
    assert not [path for path in tmp_path.iterdir() if path.suffix != ".lock"]


def test_a_list_of_tags_without_end_is_given_up() -> None:
    def itself(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"tags": ["a"]}, headers={"Link": f'<{request.url}>; rel="next"'})

    def onwards(request: httpx.Request) -> httpx.Response:
        number = int(request.url.params.get("last", "0")) + 1
        return httpx.Response(
            200, json={"tags": []}, headers={"Link": f'</v2/vqc/tags/list?last={number}>; rel="next"'}
        )

    for handle in (itself, onwards):
        with pytest.raises(RegistryUnavailable, match="does not end"):
            store_of(handle).versions()


def test_a_password_is_not_sent_where_another_host_asks_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    (tmp_path / "config.json").write_text('{"auths": {"registry.test": {"auth": "c2VjcmV0"}}}')
    seen: list[tuple[str, str | None]] = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append((request.url.host, request.headers.get("authorization")))
        if request.url.host == "registry.test":
            return httpx.Response(307, headers={"location": "https://evil.test/blob"})
        return httpx.Response(401, headers={"www-authenticate": 'Bearer realm="https://evil.test/token"'})

    with httpx.Client(
        transport=httpx.MockTransport(handle), auth=RegistryAuth("registry.test"), follow_redirects=True
    ) as client:
        assert client.get("https://registry.test/v2/a").status_code == 401
    assert [sent for host, sent in seen if host == "evil.test"] == [None]


def test_a_downloaded_blob_that_is_a_link_is_downloaded_again(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(CONTENT)
    target = tmp_path / BLOB.digest.replace(":", "-")
    target.symlink_to(tmp_path / "elsewhere")
    path = store_of(lambda request: httpx.Response(200, stream=httpx.ByteStream(CONTENT))).fetch(
        BLOB, tmp_path, lambda done: None
    )
    assert not path.is_symlink()
    assert path.read_bytes() == CONTENT
