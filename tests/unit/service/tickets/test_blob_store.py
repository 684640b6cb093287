"""Photos by their digest: all or nothing, checked when read, forgotten when old."""

import asyncio
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
