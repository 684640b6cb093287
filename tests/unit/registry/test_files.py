from __future__ import annotations

from pathlib import Path

import pytest

from registry.errors import RegistryBusy
from registry.files import file_lock, partial_file, write_atomically


def test_a_file_that_is_not_committed_never_was(tmp_path: Path) -> None:
    with partial_file(tmp_path / "scratch") as partial:
        partial.file.write(b"half")
        assert len(list((tmp_path / "scratch").iterdir())) == 1
    assert list((tmp_path / "scratch").iterdir()) == []


def test_a_committed_file_replaces_the_old_one(tmp_path: Path) -> None:
    write_atomically(tmp_path / "f", b"old", tmp_path / "scratch")
    with partial_file(tmp_path / "scratch") as partial:
        partial.file.write(b"new")
        assert (tmp_path / "f").read_bytes() == b"old"
        partial.commit(tmp_path / "f", 0o444)
    assert (tmp_path / "f").read_bytes() == b"new"
    assert (tmp_path / "f").stat().st_mode & 0o777 == 0o444
    assert list((tmp_path / "scratch").iterdir()) == []


def test_readers_share_and_a_writer_waits(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with (
        file_lock(lock, shared=True),
        file_lock(lock, shared=True),
        pytest.raises(RegistryBusy),
        file_lock(lock, wait=False),
    ):
        pass
    with file_lock(lock, wait=False), pytest.raises(RegistryBusy), file_lock(lock, shared=True, wait=False):
        pass
