from __future__ import annotations

from pathlib import Path

import pytest

from registry.errors import RegistryBusy
from registry.files import incoming, locked, write_whole


def test_a_file_that_is_not_committed_never_was(tmp_path: Path) -> None:
    with incoming(tmp_path / "scratch") as partial:
        partial.file.write(b"half")
        assert len(list((tmp_path / "scratch").iterdir())) == 1
    assert list((tmp_path / "scratch").iterdir()) == []


def test_a_committed_file_replaces_the_old_one(tmp_path: Path) -> None:
    write_whole(tmp_path / "f", b"old", tmp_path / "scratch")
    with incoming(tmp_path / "scratch") as partial:
        partial.file.write(b"new")
        assert (tmp_path / "f").read_bytes() == b"old"
        partial.commit(tmp_path / "f", 0o444)
    assert (tmp_path / "f").read_bytes() == b"new"
    assert (tmp_path / "f").stat().st_mode & 0o777 == 0o444
    assert list((tmp_path / "scratch").iterdir()) == []


def test_readers_share_and_a_writer_waits(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with locked(lock, shared=True), locked(lock, shared=True), pytest.raises(RegistryBusy), locked(lock, wait=False):
        pass
    with locked(lock, wait=False), pytest.raises(RegistryBusy), locked(lock, shared=True, wait=False):
        pass
