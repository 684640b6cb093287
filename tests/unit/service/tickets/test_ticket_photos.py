"""The photos of tickets: stored as they came, computed by the worker, and small on pages."""

from __future__ import annotations

import asyncio
import io
from hashlib import sha256

import pytest
from PIL import Image

import vqc.image
from engine.scripted import ScriptedEngine
from loadtest.photo_mutations import repair_checksums, whole_photos
from service.judging.sampler import EvidenceKind
from service.photos.pictures import THUMBNAIL_PX
from service.platform.errors import BlobMissing
from service.tickets.ticket import State, TicketPhoto
from tests.support import photos
from tests.support.service_context import client_of, context_with
from tests.unit.service.tickets.builders import GOOD, MISSION, Bench
from vqc.errors import PhotoRejected
from vqc.grammar import VERDICT_GRAMMAR
from vqc.image import EncodedPhoto, canonical_photo

WHOLE = {name: data for name, data in whole_photos().items() if "animated" not in name}
REWRITTEN = ["heic", "heic metadata", "png 16 bit", "png grey alpha"]


@pytest.fixture
def context():
    return context_with(ScriptedEngine())


async def submitted(context, *files: bytes) -> list[dict]:
    async with client_of(context) as client:
        uploads = [("photos", (f"{n}.jpg", data)) for n, data in enumerate(files)]
        answer = await client.post("/stage-b/groups", files=uploads, data={"mission": MISSION})
    assert answer.status_code == 202, answer.text
    return answer.json()["photos"]


async def test_no_pixel_is_computed_before_202_and_no_photo_is_stored_larger_than_it_came(context, monkeypatch):
    def compute(*_):
        raise AssertionError("pixels are the worker's")

    monkeypatch.setattr(vqc.image, "_pixels", compute)
    monkeypatch.setattr(vqc.image, "_encode", compute)
    found = await submitted(context, *WHOLE.values())
    assert [photo["digest"] for photo in found] == [sha256(data).hexdigest() for data in WHOLE.values()]
    assert [await context.tickets.blobs.get(photo["digest"]) for photo in found] == list(WHOLE.values())


@pytest.mark.parametrize("name", photos.BAD)
async def test_a_bad_photo_of_a_ticket_is_named_before_202(context, name):
    async with client_of(context) as client:
        uploads = [("photos", ("a.jpg", photos.jpeg())), ("photos", ("b.jpg", photos.BAD[name]))]
        answer = await client.post("/stage-b/groups", files=uploads, data={"mission": MISSION})
    assert (answer.status_code in (413, 415, 422), answer.json()["field"]) == (True, "photos.1")


@pytest.fixture
async def bench(tmp_path):
    return Bench(tmp_path)


async def stored(bench: Bench, data: bytes, **fields) -> TicketPhoto:
    digest = sha256(data).hexdigest()
    await bench.blobs.put(digest, data)
    return TicketPhoto(image_id="image_1", digest=digest, media_type="image/jpeg", **fields)


@pytest.mark.parametrize("name", REWRITTEN)
async def test_the_engine_is_shown_the_canonical_photo_for_lines_and_verdicts(bench, name):
    ticket = await bench.accept(await stored(bench, WHOLE[name]), evidence=EvidenceKind.BOTH)
    await bench.deliver(ticket)
    shown = {part for request in bench.engine.requests for part in request.user if isinstance(part, EncodedPhoto)}
    assert shown == {canonical_photo(WHOLE[name])}
    assert {request.grammar == VERDICT_GRAMMAR for request in bench.engine.requests} == {True, False}


def undecodable_png() -> bytes:
    """A PNG whose structure is whole and whose pixels are not."""
    data = bytearray(WHOLE["png"])
    at = data.index(b"IDAT")
    length = int.from_bytes(data[at - 4 : at])
    data[at + 4 : at + 4 + length] = bytes(length)
    repair_checksums(data)
    return bytes(data)


async def test_a_photo_whose_pixels_turn_out_to_be_broken_costs_its_line_and_is_named_where_it_is_evidence(bench):
    broken = await stored(bench, undecodable_png())
    whole = TicketPhoto(image_id="image_2", summary=GOOD, given=True)
    ticket = await bench.accept(broken, whole)
    await bench.deliver(ticket)
    done = await bench.store.get(ticket.id)
    assert done.state is State.NEEDS_REVIEW
    assert "must be readable" in done.photos[0].problem
    shown = await bench.accept(broken, evidence=EvidenceKind.IMAGES)
    await bench.deliver(shown)
    failure = (await bench.store.get(shown.id)).failure
    assert (failure.kind, "image_1" in failure.detail) == ("PhotoRejected", True)


async def test_a_thumbnail_is_made_once_and_found_by_the_next_process(context, monkeypatch):
    data = photos.jpeg((1600, 1200))
    (photo,) = await submitted(context, data)
    pictures, made = context.tickets.pictures, []
    monkeypatch.setattr(
        "service.tickets.pictures.thumbnail_jpeg", lambda *given: made.append(1) or photos.jpeg((40, 30))
    )
    first = await asyncio.gather(*(pictures.thumbnail(photo["digest"]) for _ in range(8)))
    again = await pictures.thumbnail(photo["digest"])
    assert (len(made), {one.data for one in first}) == (1, {again.data})
    with pytest.raises(BlobMissing):
        await pictures.thumbnail("0" * 64)


@pytest.mark.parametrize("name", sorted(WHOLE))
async def test_every_photo_has_a_small_upright_thumbnail_and_a_whole_picture_for_browsers(context, name):
    (photo,) = await submitted(context, WHOLE[name])
    size_wh = canonical_photo(WHOLE[name]).size_wh
    pictures = context.tickets.pictures
    thumbnail = Image.open(io.BytesIO((await pictures.thumbnail(photo["digest"])).data))
    assert (thumbnail.format, thumbnail.size, thumbnail.mode) == ("JPEG", size_wh, "RGB")  # smaller than a thumbnail
    whole = await pictures.whole(photo["digest"])
    made = name.startswith("heic") or name == "webp metadata"
    assert (whole.media_type == "image/jpeg") == (made or name.startswith("jpeg"))
    assert made or whole.data == canonical_photo(WHOLE[name]).data
    if made:
        assert Image.open(io.BytesIO(whole.data)).size == size_wh


async def test_a_thumbnail_of_a_large_turned_photo_is_small_and_upright(context):
    exif = Image.Exif()
    exif[0x0112] = 6
    data = photos.jpeg((1600, 1200), exif=exif)
    (photo,) = await submitted(context, data)
    picture = await context.tickets.pictures.thumbnail(photo["digest"])
    assert Image.open(io.BytesIO(picture.data)).size == (THUMBNAIL_PX * 3 // 4, THUMBNAIL_PX)
    assert len(picture.data) < len(data)


async def test_a_picture_that_cannot_be_made_is_a_rejection(context):
    (photo,) = await submitted(context, undecodable_png())
    for read in (context.tickets.pictures.thumbnail, context.tickets.pictures.whole):
        with pytest.raises(PhotoRejected):
            await read(photo["digest"])
