"""A server that sends other bytes than it said, lists and redirects without end, and answers that are no answers."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path

import httpx
import pytest

from registry import Corrupt, Registry
from registry.errors import RegistryError, RegistryUnavailable, UnsafeAnswer
from registry.oci import MAX_ATTACHMENT, Descriptor, digest_of
from registry.remote.store import RemoteStore
from registry.remote.transport import Transport
from tests.support.memory_registry import MemoryRegistry
from tests.support.registry_models import write_model
from vqc.errors import InvalidValue

CONTENT = b"0123456789"
BLOB = Descriptor(media_type="a/b", digest=digest_of(CONTENT), size=len(CONTENT))
REPORT = "application/vnd.vqc.report+json"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("registry.remote.transport.sleep", lambda seconds: None)


def store_of(handle: Callable[[httpx.Request], httpx.Response]) -> RemoteStore:
    return RemoteStore(Transport("127.0.0.1:1", "vqc", inner=httpx.MockTransport(handle)))


class Endless(httpx.SyncByteStream):
    """Bytes without end."""

    def __iter__(self) -> Iterator[bytes]:
        for _ in range(100):
            yield b" " * 2**18
        raise AssertionError("it was read far beyond its limit")


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


def test_a_blob_that_is_declared_too_large_for_memory_is_not_asked_for() -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        raise AssertionError("it was asked for")

    with pytest.raises(Corrupt, match="at most"):
        store_of(handle).read(BLOB.model_copy(update={"size": MAX_ATTACHMENT + 1}))


@pytest.mark.parametrize("use", ["versions", "audit", "manifest", "referrers"])
def test_a_document_without_end_is_given_up(use: str) -> None:
    store = store_of(lambda request: httpx.Response(200, stream=Endless()))
    uses = {
        "versions": store.versions,
        "audit": store.audit,
        "manifest": lambda: store.manifest(BLOB.digest),
        "referrers": lambda: store.referrers(BLOB.digest),
    }
    with pytest.raises(UnsafeAnswer, match="longer than"):
        uses[use]()


def test_a_document_that_trickles_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("registry.remote.guard.monotonic", count(0, 50).__next__)
    with pytest.raises(RegistryUnavailable, match="did not arrive within"):
        store_of(lambda request: httpx.Response(200, stream=Endless())).versions()


@pytest.mark.parametrize("status", [307, 401, 403, 500])
def test_the_text_of_an_error_or_a_redirect_is_cut(status: int) -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/end"):
            return httpx.Response(403, stream=Endless())
        return httpx.Response(status, stream=Endless(), headers={"location": "/v2/vqc/end"})

    with pytest.raises(RegistryUnavailable, match="403" if status == 307 else str(status)):
        store_of(handle).versions()


def test_an_error_text_is_short_and_printable() -> None:
    errors = {"errors": [{"code": "DENIED", "message": "\x1b[2J" + "x" * 10_000}]}
    with pytest.raises(RegistryUnavailable, match="DENIED") as caught:
        store_of(lambda request: httpx.Response(403, json=errors)).versions()
    assert len(str(caught.value)) < 1000
    assert str(caught.value).isprintable()


def test_a_compressed_answer_is_refused_unread() -> None:
    bomb = gzip.compress(bytes(2**24))
    answer = httpx.Response(200, stream=httpx.ByteStream(bomb), headers={"content-encoding": "gzip"})
    with pytest.raises(UnsafeAnswer, match="compressed"):
        store_of(lambda request: answer).versions()


@pytest.mark.parametrize("use", ["versions", "referrers"])
def test_a_list_without_end_is_given_up(use: str) -> None:
    def itself(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"tags": ["a"]}, headers={"Link": f'<{request.url}>; rel="next"'})

    def onwards(request: httpx.Request) -> httpx.Response:
        number = int(request.url.params.get("last", "0")) + 1
        return httpx.Response(200, json={"tags": []}, headers={"Link": f'<?last={number}>; rel="next"'})

    for handle in (itself, onwards):
        store = store_of(handle)
        with pytest.raises(UnsafeAnswer, match="does not end"):
            store.versions() if use == "versions" else store.referrers(BLOB.digest)


def test_a_list_that_grows_too_long_is_given_up() -> None:
    tags = [f"t{number}" for number in range(100_001)]
    with pytest.raises(UnsafeAnswer, match="longer than"):
        store_of(lambda request: httpx.Response(200, json={"tags": tags})).versions()


def test_every_page_of_tags_and_referrers_is_read(tmp_path: Path) -> None:
    server = MemoryRegistry(page=2)
    registry = server.open()
    registry.push(write_model(tmp_path / "m", size=40, shards=1), alias="v1")
    for number in range(4):
        registry.attach("v1", REPORT, {"n": number})
        registry.move(f"a{number}", "v1", expected=None)
    assert len(registry.referrers("v1", REPORT)) == 4
    assert [entry.action for entry in registry.audit()] == ["push", *["move"] * 5]
    assert len(registry.aliases()) == 5


@pytest.mark.parametrize("hops", [5, 6, None])
def test_redirects_end(hops: int | None) -> None:
    """Five are followed; None is a circle."""
    seen = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request.url)
        number = int(request.url.params.get("hop", "0"))
        if number == hops:
            return httpx.Response(200, json={"tags": []})
        return httpx.Response(307, headers={"location": f"?hop={number + 1 if hops else 1 - number}"})

    store = store_of(handle)
    if hops == 5:
        assert store.versions() == []
    else:
        with pytest.raises(UnsafeAnswer, match="cannot be followed"):
            store.versions()
    assert len(seen) == 6


def test_a_downloaded_blob_that_is_a_link_is_downloaded_again(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(CONTENT)
    target = tmp_path / BLOB.digest.replace(":", "-")
    target.symlink_to(tmp_path / "elsewhere")
    path = store_of(lambda request: httpx.Response(200, stream=httpx.ByteStream(CONTENT))).fetch(
        BLOB, tmp_path, lambda done: None
    )
    assert not path.is_symlink()
    assert path.read_bytes() == CONTENT


DEEP = b"[" * 100_000 + b"]" * 100_000
GARBAGE = {
    "empty": httpx.Response(200),
    "not JSON": httpx.Response(200, text="<html>"),
    "not UTF-8": httpx.Response(200, content=b'{"tags": ["\xff"]}'),
    "a list": httpx.Response(200, json=[1]),
    "a number": httpx.Response(200, content=b"1" * 5000),
    "deep": httpx.Response(200, content=b'{"tags": ' + DEEP + b"}"),
    "deep manifest": httpx.Response(200, content=b'{"schemaVersion": 2, "config": ' + DEEP + b"}"),
    "wrong types": httpx.Response(200, json={"tags": [1, None, {}], "manifests": 1, "layers": "x", "token": 1}),
    "tags of text": httpx.Response(200, json={"tags": "version.x", "manifests": [{}]}),
    "bad next page": httpx.Response(200, json={"tags": []}, headers={"Link": '<http://[>; rel="next"'}),
    "created": httpx.Response(201, headers={"Location": "", "Range": "x", "OCI-Subject": "x"}),
    "accepted without place": httpx.Response(202),
    "accepted at a bad place": httpx.Response(202, headers={"Location": "http://[", "Range": "0-" + "9" * 5000}),
    "accepted, odd range": httpx.Response(202, headers={"Location": "/x", "Range": "-", "OCI-Chunk-Min-Length": "-1"}),
    "bad redirect": httpx.Response(307, headers={"Location": "http://["}),
    "another scheme": httpx.Response(307, headers={"Location": "file:///etc/passwd"}),
    "bad challenge": httpx.Response(401, headers={"WWW-Authenticate": 'Bearer realm="http://["'}),
    "empty challenge": httpx.Response(401, headers={"WWW-Authenticate": "Bearer"}),
    "odd error": httpx.Response(400, json={"errors": [1, None]}),
    "deep error": httpx.Response(400, content=DEEP),
    "errors of text": httpx.Response(400, json={"errors": "x"}),
}


READS: list[Callable[[Registry, Path], object]] = [
    lambda registry, folder: registry.versions(),
    lambda registry, folder: registry.audit(),
    lambda registry, folder: registry.referrers("v1"),
    lambda registry, folder: registry.pull("v1", folder / "out"),
]
WRITES: list[Callable[[Registry, Path], object]] = [
    lambda registry, folder: registry.push(folder / "other", alias="v2"),
    lambda registry, folder: registry.move("v3", "v1", expected=None),
]
PLACES = {
    "": READS + WRITES,
    "tags/list": READS + WRITES,
    "GET /v2/vqc/manifests": READS + WRITES,
    "referrers": READS + WRITES,
    "GET /v2/vqc/blobs": READS,
    **dict.fromkeys(["HEAD", "POST", "PUT", "PATCH"], WRITES),
}


@pytest.mark.parametrize("garbage", GARBAGE)
def test_an_answer_that_is_none_is_a_registry_error(
    garbage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("registry.remote.blobs._SMALL", 100)
    for module in ("registry.core", "registry.remote.store"):
        monkeypatch.setattr(f"{module}.map_in_threads", lambda function, items: list(map(function, items)))
    server = MemoryRegistry()
    server.open().push(write_model(tmp_path / "m", shards=1), alias="v1")
    write_model(tmp_path / "other", shards=1, seed=1)
    answer = GARBAGE[garbage]
    for place, uses in PLACES.items():

        def handle(request: httpx.Request, place: str = place) -> httpx.Response:
            if place not in f"{request.method} {request.url.path}":
                return server(request)
            return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)

        for use in uses:
            with suppress(RegistryError, InvalidValue):
                use(Registry(store_of(handle)), tmp_path)
            for path in tmp_path.glob("*out*"):
                shutil.rmtree(path)
