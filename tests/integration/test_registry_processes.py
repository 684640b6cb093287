"""Real processes at the registry: killed, racing, out of room. Nothing half-visible, nothing lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep

import pytest

from registry import UnknownVersion, open_registry
from registry.errors import StorageFull
from tests.support.docker_registry import DockerRegistry
from tests.support.registry_models import digests, write_model

MB = 2**20
LARGE = 128 * MB


def command(where: Path | str, *arguments: str | Path) -> tuple[list[str], dict[str, str]]:
    words = [sys.executable, "-m", "registry.cli", *map(str, arguments)]
    return words, os.environ | {"VQC_REGISTRY": str(where)}


def start(where: Path | str, *arguments: str | Path) -> subprocess.Popen[str]:
    words, environment = command(where, *arguments)
    return subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def kill_when(process: subprocess.Popen[str], seen: Callable[[], bool]) -> None:
    """SIGKILL in the middle of the work: when ``seen`` says so and before the process is done."""
    deadline = monotonic() + 60
    while not seen():
        assert process.poll() is None, f"it was done before it could be killed: {process.communicate()}"
        assert monotonic() < deadline
        sleep(0.001)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    process.communicate()


def bytes_in(folder: Path, pattern: str = "*") -> int:
    total = 0
    for path in folder.glob(pattern):
        try:
            total += path.stat().st_size
        except FileNotFoundError:
            continue
    return total


def test_a_push_that_was_killed_is_not_visible_and_can_be_made_again(tmp_path: Path) -> None:
    root = tmp_path / "registry"
    registry = open_registry(root)
    before = registry.push(write_model(tmp_path / "old", seed=1), alias="champion").digest
    model = write_model(tmp_path / "model", seed=None, size=LARGE)
    process = start(root, "push", model, "--alias", "champion")
    kill_when(process, lambda: bytes_in(root / "vqc/partial") > 10 * MB)
    assert registry.aliases() == {"champion": before}
    assert [version.digest for version in registry.versions()] == [before]
    registry.verify("champion")
    leftovers = bytes_in(root / "vqc/partial")
    assert leftovers > 10 * MB
    assert registry.gc().freed_bytes >= leftovers
    assert bytes_in(root / "vqc/partial") == 0
    again = registry.push(model, alias="champion")
    registry.verify("champion")
    assert registry.aliases() == {"champion": again.digest}


def test_a_pull_that_was_killed_is_not_visible_and_can_be_made_again(tmp_path: Path) -> None:
    registry = open_registry(tmp_path / "registry")
    model = write_model(tmp_path / "model", seed=None, size=LARGE)
    registry.push(model, alias="v1")
    process = start(tmp_path / "registry", "pull", "v1", tmp_path / "out")
    kill_when(process, lambda: any(path.suffix == ".new" for path in tmp_path.iterdir()))
    assert not (tmp_path / "out").exists()
    registry.pull("v1", tmp_path / "out")
    assert sum(path.stat().st_size for path in (tmp_path / "out").iterdir()) == registry.version("v1").size_bytes
    assert [path for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    registry.verify("v1")


def test_a_pull_from_afar_that_was_killed_goes_on_where_it_stopped(
    docker_registry: DockerRegistry, tmp_path: Path
) -> None:
    where = f"oci://{docker_registry.host}/killed/pull-{os.getpid()}"
    registry = open_registry(where)
    model = write_model(tmp_path / "model", seed=None, size=LARGE, shards=1)
    digest = registry.push(model, alias="v1").digest
    process = start(where, "pull", "v1", tmp_path / "out")
    work = tmp_path / f".out.{digest[7:19]}.partial"
    kill_when(process, lambda: bytes_in(work, "*.partial") > 10 * MB)
    assert not (tmp_path / "out").exists()
    had = bytes_in(work, "*.partial")
    assert 10 * MB < had < LARGE
    counted: list[int] = []
    registry.pull("v1", tmp_path / "out", lambda name, done, total: counted.append(done) if total > LARGE else None)
    assert min(counted) > had - MB, "what had arrived was not asked for again"
    assert digests(tmp_path / "out") == {
        name: digest for name, digest in digests(model).items() if name not in ("optimizer.pt", "args.json")
    }
    assert not work.exists()


def test_a_push_afar_that_was_killed_is_not_visible_and_can_be_made_again(
    docker_registry: DockerRegistry, tmp_path: Path
) -> None:
    where = f"oci://{docker_registry.host}/killed/push-{os.getpid()}"
    registry = open_registry(where)
    model = write_model(tmp_path / "model", seed=None, size=LARGE + os.getpid(), shards=1)
    uploads = docker_registry.root / f"docker/registry/v2/repositories/killed/push-{os.getpid()}/_uploads"
    process = start(where, "push", model, "--alias", "v1")
    kill_when(process, lambda: bytes_in(uploads, "*/data") > 10 * MB)
    assert registry.versions() == []
    with pytest.raises(UnknownVersion):
        registry.resolve("v1")
    registry.push(model, alias="v1")
    registry.verify("v1")


def test_of_two_writers_one_moves_the_alias(tmp_path: Path) -> None:
    root = tmp_path / "registry"
    registry = open_registry(root)
    versions = [registry.push(write_model(tmp_path / f"m{seed}", seed=seed)).digest for seed in range(4)]
    writers = [start(root, "move", "champion", digest, "--expected", "none", "--json") for digest in versions]
    results = [(writer.communicate(), writer.returncode) for writer in writers]
    assert sorted(code for _, code in results) == [0, 1, 1, 1]
    (winner,) = [json.loads(output)["after"] for (output, _), code in results if code == 0]
    assert all("it was moved meanwhile" in error for (_, error), code in results if code == 1)
    assert registry.aliases() == {"champion": winner}
    assert [entry.after for entry in registry.audit() if entry.action == "move"] == [winner]


def test_writers_of_different_aliases_lose_nothing(tmp_path: Path) -> None:
    root = tmp_path / "registry"
    registry = open_registry(root)
    model = write_model(tmp_path / "model")
    writers = [start(root, "push", model, "--alias", f"v{number}") for number in range(5)]
    outputs = {(writer.communicate()[0].strip(), writer.returncode) for writer in writers}
    assert len(outputs) == 1
    ((digest, code),) = outputs
    assert code == 0
    assert registry.aliases() == {f"v{number}": digest for number in range(5)}
    assert len([entry for entry in registry.audit() if entry.action == "move"]) == 5


def test_several_processes_pull_one_version_into_one_cache(tmp_path: Path) -> None:
    registry = open_registry(tmp_path / "registry")
    digest = registry.push(write_model(tmp_path / "model", size=8 * MB), alias="v1").digest
    code = "import sys, registry; print(registry.open_registry(sys.argv[1]).materialise('v1', sys.argv[2]))"
    words = [sys.executable, "-c", code, str(tmp_path / "registry"), str(tmp_path / "cache")]
    pullers = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    found = {(puller.communicate()[0].strip(), puller.returncode) for puller in pullers}
    assert found == {(str(tmp_path / "cache/versions" / digest.replace(":", "-")), 0)}
    assert [path.name for path in (tmp_path / "cache/versions").iterdir()] == [digest.replace(":", "-")]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 MB."""
    if os.geteuid() != 0:
        if os.environ.get("CI"):
            pytest.fail("mounting a small disk needs root")
        pytest.skip("mounting a small disk needs root")
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(disk)], check=True)
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_a_full_disk_loses_nothing_and_shows_nothing_half(small_disk: Path, tmp_path: Path) -> None:
    root = small_disk / "registry"
    registry = open_registry(root)
    held = registry.push(write_model(tmp_path / "small", seed=1, size=4 * MB), alias="champion").digest
    log = registry.audit()
    model = write_model(tmp_path / "model", seed=2, size=12 * MB)
    process = start(root, "push", model, "--alias", "champion")
    _, said = process.communicate()
    assert process.returncode == 1
    assert "no space left for 12," in said
    assert "Traceback" not in said
    assert registry.aliases() == {"champion": held}
    assert (registry.versions()[0].digest, registry.audit()) == (held, log)
    assert list((root / "vqc/partial").iterdir()) == []
    registry.verify("champion")
    registry.gc()
    registry.push(write_model(tmp_path / "fits", seed=3, size=4 * MB), alias="champion")
    registry.verify("champion")


def test_a_full_disk_under_the_cache_leaves_no_directory(small_disk: Path, tmp_path: Path) -> None:
    registry = open_registry(tmp_path / "registry")
    registry.push(write_model(tmp_path / "model", seed=2, size=16 * MB), alias="v1")
    for pull in (
        lambda: registry.materialise("v1", small_disk / "cache"),
        lambda: registry.pull("v1", small_disk / "out"),
    ):
        with pytest.raises(StorageFull, match="no space left"):
            pull()
    assert [path for path in small_disk.rglob("*") if path.is_file() and path.parent.name != "locks"] == []
    assert not (small_disk / "out").exists()


def test_a_disk_that_fills_up_while_an_alias_moves(small_disk: Path, tmp_path: Path) -> None:
    registry = open_registry(small_disk / "registry")
    first = registry.push(write_model(tmp_path / "m1", seed=1), alias="champion").digest
    second = registry.push(write_model(tmp_path / "m2", seed=2)).digest
    log = registry.audit()
    filler = small_disk / "filler"
    fill(filler)
    with pytest.raises(StorageFull):
        registry.move("champion", second, expected=first, reason="x" * 5000)
    assert registry.aliases() == {"champion": first}
    assert registry.audit() == log
    filler.unlink()
    registry.move("champion", second, expected=first)
    assert [entry.after for entry in registry.audit()][-1] == second
    registry.verify("champion")


def test_a_registry_that_may_only_be_read_can_be_served_from(small_disk: Path, tmp_path: Path) -> None:
    root = small_disk / "registry"
    model = write_model(tmp_path / "model", size=MB)
    digest = open_registry(root).push(model, alias="champion").digest
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    registry = open_registry(root)
    registry.verify("champion")
    with registry.lease(digest, "engine", 60) as lease:
        lease.renew()
        directory = registry.materialise("champion", tmp_path / "cache")
    assert (directory / "config.json").read_bytes() == (model / "config.json").read_bytes()
    process = start(root, "move", "v2", "champion")
    _, said = process.communicate()
    assert process.returncode == 1
    assert "Read-only file system" in said
    assert "Traceback" not in said


def fill(path: Path) -> None:
    """Writes until the disk takes no more."""
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * 4096)
