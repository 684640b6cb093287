from __future__ import annotations

import errno
import threading
from io import BytesIO
from pathlib import Path

import pytest

from registry.errors import Corrupt, StorageFull
from registry.streams import BLOCK, check_file, copy_and_hash, ignore_progress, map_in_threads, translate_no_space


def test_bytes_are_hashed_on_their_way(tmp_path: Path) -> None:
    target = BytesIO()
    counted: list[int] = []
    digest, size = copy_and_hash([b"ab", b"", b"c"], target, counted.append)
    assert digest == "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert (size, target.getvalue(), counted[-1]) == (3, b"abc", 3)


def test_a_file_longer_than_a_block_is_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"\1" * (BLOCK + 1))
    digest, _ = copy_and_hash([b"\1" * (BLOCK + 1)], None, ignore_progress)
    check_file(path, digest, BLOCK + 1, "f")
    with pytest.raises(Corrupt, match="f: expected sha256:00"):
        check_file(path, "sha256:00", BLOCK + 1, "f")


def test_no_space_left_is_said_with_what_was_needed(tmp_path: Path) -> None:
    with pytest.raises(StorageFull, match="1,000 bytes"), translate_no_space(tmp_path, 1000):
        raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(PermissionError), translate_no_space(tmp_path):
        raise PermissionError(errno.EACCES, "denied")


def test_results_come_in_order() -> None:
    assert map_in_threads(str, [3, 1, 2]) == ["3", "1", "2"]
    assert map_in_threads(str, []) == []


def test_the_first_failure_is_raised_and_stops_the_others() -> None:
    started = threading.Event()
    endless_stopped = threading.Event()

    def work(item: str) -> None:
        if item == "bad":
            started.wait(30)
            raise ValueError("bad file")

        def endless():
            while True:
                started.set()
                yield b"x"

        try:
            copy_and_hash(endless(), None, ignore_progress)
        finally:
            endless_stopped.set()

    with pytest.raises(ValueError, match="bad file"):
        map_in_threads(work, ["endless", "bad"])
    assert endless_stopped.is_set()
