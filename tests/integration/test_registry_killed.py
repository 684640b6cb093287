"""A process that is killed before any one of its writes: log and index agree afterwards, and the work can be done again."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from registry import ANY, Registry, open_registry
from registry.guidance import push_guidance
from tests.support.killed import is_killed
from tests.support.registry_models import write_model
from vqc.contract import digest

_WRITES = ("os.rename", "os.truncate", "os.mkdir", "os.remove", "os.rmdir", "os.chmod", "os.link", "shutil.rmtree")


def run_killed(work: Callable[[], object], at: int) -> bool:
    """Runs ``work`` in a child that dies before its write number ``at``; False if it had fewer writes."""

    def work_until_killed() -> None:
        count = 0

        def on_event(event: str, arguments: tuple[object, ...]) -> None:
            nonlocal count
            writes = event in _WRITES or (event == "open" and isinstance(arguments[2], int) and arguments[2] & 3)
            if writes:
                count += 1
                if count == at:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(on_event)
        work()

    return is_killed(work_until_killed)


def check_agreement(registry: Registry) -> None:
    """Every version has its entry and every entry its version; every alias points where its last entry says."""
    log = registry.audit()
    pushed = {entry.after for entry in log if entry.action == "push"}
    collected = {entry.before for entry in log if entry.action == "collect"}
    assert set(registry.store.versions()) == pushed - collected
    moves = {entry.alias: entry.after for entry in log if entry.action == "move"}
    aliases = registry.store.aliases()
    assert aliases == {alias: after for alias, after in moves.items() if after is not None}
    for version in registry.versions():
        registry.verify(version.digest)
    for alias in registry.aliases():
        registry.verify(alias)
    file = Path(registry.where, "vqc/audit.jsonl")
    content = file.read_bytes() if file.exists() else b""
    assert content.count(b"\n") == len(log)
    assert content[-1:] in (b"", b"\n")


def guidance_record() -> bytes:
    rest = {"mission": "挡风板安装检查", "rules": [], "step": 1}
    return json.dumps({**rest, "version": digest(rest)}).encode()


@pytest.mark.parametrize("kind", ["first push", "push", "move", "remove", "collect", "guidance"])
def test_a_kill_before_any_write_leaves_log_and_index_agreed(tmp_path: Path, kind: str) -> None:
    first, second = (write_model(tmp_path / f"m{seed}", seed=seed) for seed in (1, 2))
    for at in range(1, 400):
        root = tmp_path / f"r{at}"
        if kind != "first push":
            registry = open_registry(root)
            registry.push(first, alias="champion")
            registry.push(second)
        other = write_model(tmp_path / f"other{at}", seed=3)

        def work(root: Path = root, other: Path = other) -> None:
            registry = open_registry(root)
            if kind in ("first push", "push"):
                registry.push(other, alias="champion")
            elif kind == "move":
                registry.move("champion", registry.push(second).digest, expected=ANY)
            elif kind == "remove":
                registry.move("champion", None, expected=ANY)
            elif kind == "collect":
                registry.gc()
            else:
                push_guidance(registry, guidance_record())

        killed = run_killed(work, at)
        check_agreement(open_registry(root))
        if not killed:
            assert at > 3
            return
        work()
        check_agreement(open_registry(root))
    raise AssertionError("it never got to its end")


@pytest.mark.parametrize("lost", [1, 20, 300, 10_000])
def test_a_torn_last_line_is_repaired_and_reported_at_the_next_open(
    tmp_path: Path, lost: int, caplog: pytest.LogCaptureFixture
) -> None:
    root = tmp_path / "registry"
    registry = open_registry(root)
    first = registry.push(write_model(tmp_path / "m1", seed=1), alias="champion").digest
    registry.push(write_model(tmp_path / "m2", seed=2), alias="champion")
    log = root / "vqc/audit.jsonl"
    os.truncate(log, max(0, log.stat().st_size - lost))
    again = open_registry(root)
    check_agreement(again)
    (repair,) = [entry for entry in again.audit() if entry.action == "repair"]
    assert "bytes of the log were lost" in repair.reason
    assert "registry_log_repaired" in caplog.text
    again.move("champion", first, expected=ANY)
    check_agreement(open_registry(root))
    assert len([entry for entry in again.audit() if entry.action == "repair"]) == 1


def test_a_log_that_is_gone_is_written_again(tmp_path: Path) -> None:
    root = tmp_path / "registry"
    open_registry(root).push(write_model(tmp_path / "m1", seed=1), alias="champion")
    (root / "vqc/audit.jsonl").unlink()
    check_agreement(open_registry(root))


def test_half_an_entry_that_was_never_committed_is_dropped_at_the_next_open(tmp_path: Path) -> None:
    root = tmp_path / "registry"
    registry = open_registry(root)
    registry.push(write_model(tmp_path / "m1", seed=1), alias="champion")
    before = registry.audit()
    with (root / "vqc/audit.jsonl").open("ab") as file:
        file.write(b'{"at": "2026", "action": "mo')
    again = open_registry(root)
    assert again.audit() == before
    check_agreement(again)
