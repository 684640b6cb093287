"""Debian's Docker Registry (package docker-registry), started for tests."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

import httpx
import pytest

from tests.support.ports import free_port


@dataclass(frozen=True)
class DockerRegistry:
    """A running server. ``host`` is host:port, ``root`` the folder of its data."""

    host: str
    root: Path

    def blob(self, digest: str) -> Path:
        """Where the server keeps a blob's bytes."""
        name = digest.removeprefix("sha256:")
        return self.root / "docker/registry/v2/blobs/sha256" / name[:2] / name / "data"


@contextmanager
def running_registry(folder: Path, more: str = "") -> Iterator[DockerRegistry]:
    """The server with its data in ``folder``; ``more`` is YAML for its configuration. Skips where it is not installed."""
    program = shutil.which("docker-registry")
    if program is None:
        missing = "the Debian package docker-registry is not installed (make test-servers)"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    host = f"127.0.0.1:{free_port()}"
    config = folder / "config.yml"
    config.write_text(
        f"version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n"
        f"storage: {{filesystem: {{rootdirectory: {folder / 'data'}}}, cache: {{}}}}\n"
        f"http: {{addr: '{host}'}}\n{more}"
    )
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen([program, "serve", str(config)], stdout=log, stderr=log)
    try:
        wait_until_it_answers(host, server)
        yield DockerRegistry(host, folder / "data")
    finally:
        server.terminate()
        server.wait()


def wait_until_it_answers(host: str, server: subprocess.Popen[bytes]) -> None:
    deadline = monotonic() + 30
    while monotonic() < deadline and server.poll() is None:
        try:
            httpx.get(f"http://{host}/v2/", trust_env=False)
            return
        except httpx.TransportError:
            sleep(0.05)
    raise AssertionError("docker-registry did not start")
