"""The remote store against a real Docker Registry whose line breaks, that wants a password, or that other tools read too."""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from registry import Corrupt, Registry, open_registry
from registry.audit_log import new_entry
from registry.errors import RegistryUnavailable
from registry.remote.blobs import Blobs
from registry.remote.store import RemoteStore
from registry.remote.transport import Transport
from registry.streams import file_digest
from tests.support.docker_registry import DockerRegistry, running_registry
from tests.support.killed import is_killed
from tests.support.registry_models import BELONGS, digests, write_model, write_safetensors

MB = 2**20


class BreakingLine:
    """A TCP proxy that cuts each connection after ``limit`` bytes in one direction, ``breaks`` times in all."""

    def __init__(self, target: str, limit: int, breaks: int) -> None:
        self._target = target.split(":")
        self._limit = limit
        self._left = breaks
        self.broken = 0
        self.bytes_down = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.host = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._ends: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def close(self) -> None:
        """Stops listening; ends its threads."""
        shut(self._listener)
        for end in self._ends:
            shut(end)
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.create_connection((self._target[0], int(self._target[1])))
            self._ends += [near, far]
            for source, sink, down in ((near, far, False), (far, near, True)):
                thread = threading.Thread(target=self._copy, args=(source, sink, near, far, down), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _copy(
        self, source: socket.socket, sink: socket.socket, near: socket.socket, far: socket.socket, down: bool
    ) -> None:
        done = 0
        try:
            while data := source.recv(65536):
                done += len(data)
                self.bytes_down += len(data) if down else 0
                if done > self._limit and self._left > 0:
                    self._left -= 1
                    self.broken += 1
                    break
                sink.sendall(data)
        except OSError:
            pass
        finally:
            for end in (near, far):
                shut(end)


def shut(end: socket.socket) -> None:
    """Closes a connection and wakes its waiters."""
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()


@contextmanager
def breaking_line(server: DockerRegistry, limit: int, breaks: int) -> Iterator[BreakingLine]:
    line = BreakingLine(server.host, limit, breaks)
    try:
        yield line
    finally:
        line.close()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attempts follow each other at once."""
    monkeypatch.setattr("registry.remote.transport.sleep", lambda seconds: None)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "weights.safetensors"
    write_safetensors(path, 24 * MB, os.getpid())
    return path


@pytest.mark.usefixtures("quick")
def test_an_upload_goes_on_where_the_line_broke(docker_registry: DockerRegistry, weights: Path) -> None:
    with breaking_line(docker_registry, limit=6 * MB, breaks=2) as line:
        blobs = Blobs(Transport(line.host, "broken/up"), chunk_bytes=8 * MB)
        counted: list[int] = []
        digest, size = blobs.upload(weights, counted.append)
        del blobs
    assert line.broken == 2
    assert (digest, counted[-1]) == (file_digest(weights), size)
    assert docker_registry.blob(digest).read_bytes() == weights.read_bytes()


@pytest.mark.usefixtures("quick")
def test_a_download_goes_on_where_the_line_broke(
    docker_registry: DockerRegistry, weights: Path, tmp_path: Path
) -> None:
    straight = RemoteStore(Transport(docker_registry.host, "broken/down"))
    blob = straight.add_file(weights, "a/b", lambda done: None)
    with breaking_line(docker_registry, limit=10 * MB, breaks=2) as line:
        blobs = Blobs(Transport(line.host, "broken/down"))
        path = blobs.download(blob, tmp_path / "work", lambda done: None)
        del blobs
    assert line.broken == 2
    assert path.read_bytes() == weights.read_bytes()
    assert line.bytes_down < weights.stat().st_size + 2 * MB, "what had arrived was not asked for again"
    assert not list((tmp_path / "work").glob("*.partial"))


@pytest.mark.usefixtures("quick")
def test_what_an_earlier_process_left_is_gone_on_from_only_if_it_is_right(
    docker_registry: DockerRegistry, weights: Path, tmp_path: Path
) -> None:
    store = RemoteStore(Transport(docker_registry.host, "broken/left"))
    blob = store.add_file(weights, "a/b", lambda done: None)
    partial = tmp_path / (blob.digest.replace(":", "-") + ".partial")
    partial.write_bytes(b"\xff" * MB)
    with pytest.raises(Corrupt):
        store.fetch(blob, tmp_path, lambda done: None)
    assert not partial.exists()
    partial.write_bytes(weights.read_bytes()[:MB])
    counted: list[int] = []
    store.fetch(blob, tmp_path, counted.append)
    assert counted[0] > MB
    assert counted[-1] == blob.size


def test_a_line_that_always_breaks_is_given_up(docker_registry: DockerRegistry, weights: Path, quick: None) -> None:
    with breaking_line(docker_registry, limit=0, breaks=1000) as line:
        transport = Transport(line.host, "broken/always")
        with pytest.raises(RegistryUnavailable, match="does not answer"):
            transport.request("GET", "tags/list")
        del transport


def test_a_password_is_taken_from_docker_login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "htpasswd").write_text("ann:$2y$05$CKLQy/hyhNlbUSJ5VwtARexYbXJtUVzb3qmOdRd3KO3xz1s/AjGYi\n")
    auth = f"auth: {{htpasswd: {{realm: vqc, path: '{tmp_path / 'htpasswd'}'}}}}\n"
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    model = write_model(tmp_path / "model", size=9 * MB)
    (tmp_path / "server").mkdir()
    with running_registry(tmp_path / "server", auth) as server:
        with pytest.raises(RegistryUnavailable, match="docker login"):
            open_registry(f"oci://{server.host}/vqc").push(model)
        login = base64.b64encode(b"ann:secret").decode()
        (tmp_path / "config.json").write_text(json.dumps({"auths": {server.host: {"auth": login}}}))
        registry = open_registry(f"oci://{server.host}/vqc")
        registry.push(model, alias="v1")
        assert set(digests(registry.pull("v1", tmp_path / "out"))) == BELONGS


def test_other_tools_read_what_we_wrote(docker_registry: DockerRegistry, tmp_path: Path) -> None:
    import oras.client

    name = f"read/by-others-{os.getpid()}"
    model = write_model(tmp_path / "model", seed=os.getpid())
    version = open_registry(f"oci://{docker_registry.host}/{name}").push(model, alias="champion")
    client = oras.client.OrasClient(hostname=docker_registry.host, insecure=True)
    target = f"{docker_registry.host}/{name}:champion"
    client.pull(target=target, outdir=str(tmp_path / "out"))
    manifest = client.get_manifest(container=target)
    tags = client.get_tags(container=target)
    client.session.close()
    assert digests(tmp_path / "out") == {name: digest for name, digest in digests(model).items() if name in BELONGS}
    assert manifest == json.loads(version.manifest.to_bytes())
    assert "champion" in tags
    api = httpx.Client(base_url=f"http://{docker_registry.host}/v2/", trust_env=False)
    with api:
        assert name in api.get("_catalog?n=1000").json()["repositories"]
        head = api.head(f"{name}/manifests/champion", headers={"Accept": manifest["mediaType"]})
        assert head.headers["docker-content-digest"] == version.digest


def test_our_layout_is_read_by_oras(docker_registry: DockerRegistry, tmp_path: Path) -> None:
    import oras.layout
    import oras.provider

    model = write_model(tmp_path / "model", seed=os.getpid() + 1)
    version = open_registry(tmp_path / "registry").push(model, alias="champion")
    name = f"read/layout-{os.getpid()}"
    provider = oras.provider.Registry(hostname=docker_registry.host, insecure=True)
    layout = oras.layout.NewLayout(str(tmp_path / "registry"))
    layout.push_to_registry(provider, f"{docker_registry.host}/{name}:champion", "champion")
    provider.session.close()
    remote = open_registry(f"oci://{docker_registry.host}/{name}")
    assert remote.resolve("champion") == version.digest
    remote.verify("champion")


def run_killed(where: str, work: Callable[[Registry], object], at: int) -> bool:
    """Runs ``work`` in a child that dies before its request number ``at``; False if it made fewer."""

    def work_until_killed() -> None:
        count = 0
        send = httpx.Client.send

        def counted_send(*arguments: Any, **options: Any) -> httpx.Response:
            nonlocal count
            count += 1
            if count == at:
                os.kill(os.getpid(), signal.SIGKILL)
            return send(*arguments, **options)

        httpx.Client.send = counted_send  # type: ignore[method-assign]
        work(open_registry(where))

    return is_killed(work_until_killed)


def test_a_kill_before_any_request_leaves_no_version_without_its_entry(
    docker_registry: DockerRegistry, tmp_path: Path
) -> None:
    first = write_model(tmp_path / "first", seed=os.getpid() + 2)
    second = write_model(tmp_path / "second", seed=os.getpid() + 3)
    where = f"oci://{docker_registry.host}/killed/push-every-{os.getpid()}"
    registry = open_registry(where)
    before = registry.push(first, alias="champion").digest
    for at in range(1, 200):
        killed = run_killed(where, lambda registry: registry.push(second), at)
        pushes = [entry.after for entry in registry.audit() if entry.action == "push"]
        assert sorted(filter(None, pushes)) == sorted(registry.store.versions()), "one entry for each version"
        if not killed:
            break
    assert at > 10
    digest = registry.push(second).digest
    store = registry.store
    assert isinstance(store, RemoteStore)
    logged = new_entry("move", alias="champion", before=before, after=digest, actor="dead", reason="")
    store._record(logged, store.manifest(digest) or b"")
    registry.move("champion", digest, expected=before)
    moves = [(entry.before, entry.after) for entry in registry.audit() if entry.action == "move"]
    assert moves == [(None, before), (before, digest), (digest, before), (before, digest)]
