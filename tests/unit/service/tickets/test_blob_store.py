"""Photos by their digest: all or nothing, checked when read, forgotten when old."""

import asyncio
import errno
import os
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest

from service.platform.errors import BlobMissing, QueueUnavailable
from service.tickets.blob_store import BlobStore
from vqc.errors import InvalidValue

DATA = b"photo" * 1000
DIGEST = sha256(DATA).hexdigest()


@pytest.fixture(params=["directory", "memory://blobs"])
def store(request, tmp_path) -> BlobStore:
    return BlobStore(str(tmp_path / "blobs") if request.param == "directory" else f"memory://{tmp_path.name}")


async def test_bytes_come_back_and_putting_them_twice_is_the_same(store):
    await asyncio.gather(*(store.put(DIGEST, DATA) for _ in range(8)))
    assert await store.get(DIGEST) == DATA
    assert await store.remove(datetime.now(UTC) + timedelta(seconds=5)) == 1


async def test_what_is_not_there_is_named(store):
    with pytest.raises(BlobMissing, match=DIGEST):
        await store.get(DIGEST)


async def test_changed_bytes_are_found_out(store):
    await store.put(DIGEST, b"other")
    with pytest.raises(BlobMissing, match="is damaged"):
        await store.get(DIGEST)


async def test_only_what_is_old_is_forgotten(store):
    await store.put(DIGEST, DATA)
    assert await store.remove(datetime.now(UTC) - timedelta(seconds=60)) == 0
    assert await store.get(DIGEST) == DATA
    assert await store.remove(datetime.now(UTC) + timedelta(seconds=60)) == 1
    with pytest.raises(BlobMissing):
        await store.get(DIGEST)


async def test_a_store_that_cannot_be_written_is_said_to_be_away(tmp_path):
    (tmp_path / "file").write_text("no directory")
    with pytest.raises(QueueUnavailable, match="photo store"):
        await BlobStore(str(tmp_path / "file" / "blobs")).put(DIGEST, DATA)


def test_an_unknown_kind_of_store_is_named():
    with pytest.raises(InvalidValue, match="VQC_BLOBS"):
        BlobStore("nosuch://bucket")


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO])
async def test_a_photo_that_did_not_reach_the_disk_leaves_no_part_of_it(tmp_path, monkeypatch, code):
    def fail(descriptor: int) -> None:
        raise OSError(code, os.strerror(code))

    (tmp_path / DIGEST[:2]).mkdir()
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(QueueUnavailable, match="photo store"):
        await BlobStore(str(tmp_path)).put(DIGEST, DATA)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file() and path.name != ".lock"] == []


async def test_a_photo_and_the_folders_that_name_it_are_synced(tmp_path, monkeypatch):
    synced, fsync = [], os.fsync

    def record(descriptor: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", record)
    root = tmp_path / "state" / "blobs"
    await BlobStore(str(root)).put(DIGEST, DATA)
    folder = str(root / DIGEST[:2])
    assert {str(tmp_path), str(root.parent), str(root), folder} <= set(synced)
    assert synced[-2].startswith(f"{folder}/{DIGEST}.")
    assert synced[-1] == folder


async def test_a_photo_put_again_while_old_ones_are_removed_stays(tmp_path, monkeypatch):
    store, before = BlobStore(str(tmp_path)), datetime.now(UTC) - timedelta(days=1)
    await store.put(DIGEST, DATA)
    place = tmp_path / DIGEST[:2] / DIGEST
    os.utime(place, (0, 0))
    is_old, looks = store._is_old, []

    def put_after_the_first_look(path: str, limit: datetime) -> bool:
        looks.append(is_old(path, limit))
        if len(looks) == 1:
            store._put(path, DATA)
        return looks[-1]

    monkeypatch.setattr(store, "_is_old", put_after_the_first_look)
    assert await store.remove(before) == 0
    assert looks == [True, False]
    assert await store.get(DIGEST) == DATA


async def test_what_is_to_be_kept_is_kept_with_what_was_made_of_it(store):
    await store.put(DIGEST, DATA)
    await store.put_derived("thumbnail", DIGEST, b"small")
    later = datetime.now(UTC) + timedelta(seconds=60)
    assert await store.remove(later, {DIGEST}) == 0
    assert await store.remove(later) == 2
