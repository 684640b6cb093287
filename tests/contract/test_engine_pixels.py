"""Law 2 for any bytes: a file is a photo that trainer, service and engine see alike, or all reject it."""

from __future__ import annotations

import importlib.util
import io
from itertools import islice
from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from loadtest.engine_pixels import engine_pixels
from loadtest.photo_mutations import mutations, whole_photos
from loadtest.suites.photos import measure, verdict
from tests.support import photos
from vqc.errors import PhotoReason, PhotoRejected
from vqc.image import PhotoLimits, canonical_photo, canonical_pixels, original_photo, photo_header

WHOLE = whole_photos()
ANIMATED = {"png animated", "webp animated"}


@pytest.fixture(scope="module")
def vllm_image() -> ModuleType:
    """vLLM's own image functions; importing all of vLLM takes seconds."""
    root = importlib.util.find_spec("vllm").submodule_search_locations[0]  # type: ignore[union-attr,index]
    spec = importlib.util.spec_from_file_location("vllm_image", Path(root) / "multimodal" / "image.py")
    module = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]
    spec.loader.exec_module(module)  # type: ignore[union-attr]
    return module


@pytest.mark.parametrize("name", sorted(WHOLE.keys() - ANIMATED))
def test_vllm_sees_the_pixels_that_the_trainer_sees(name, vllm_image):
    photo = canonical_photo(WHOLE[name])
    image = vllm_image.normalize_image(
        vllm_image.open_image(io.BytesIO(photo.data))
    )  # what ImageMediaIO.load_bytes does
    image = vllm_image.rgba_to_rgb(image) if image.mode == "RGBA" else vllm_image.convert_image_mode(image, "RGB")
    wanted = canonical_pixels(WHOLE[name])
    assert (image.size, image.tobytes()) == (wanted.size, wanted.tobytes())
    assert engine_pixels(photo.data).tobytes() == image.tobytes()
    assert photo.size_wh == photo_header(WHOLE[name]).size_wh == wanted.size
    assert len(photo.data) <= len(WHOLE[name]) or name.startswith("heic")


@pytest.mark.parametrize("name", sorted(WHOLE.keys() - ANIMATED))
def test_what_the_engine_shows_upright_is_not_rewritten(name):
    rewritten = {"png palette", "png grey alpha", "png 16 bit", "png colour key", "heic", "heic metadata"}
    assert canonical_photo(WHOLE[name]).passed_through == (name not in rewritten)


def test_what_is_too_long_for_webp_is_written_as_png():
    tall = Image.new("LA", (200, 17_000), (90, 120))
    photo = canonical_photo(photos.encoded(tall))
    assert (photo.media_type, photo.size_wh, photo.decode().getpixel((5, 5))) == (
        "image/png",
        (200, 17_000),
        (177,) * 3,
    )


@pytest.mark.parametrize("name", sorted(ANIMATED))
def test_more_than_one_frame_is_rejected(name):
    with pytest.raises(PhotoRejected) as caught:
        original_photo(WHOLE[name])
    assert caught.value.reason is PhotoReason.ANIMATED


def test_five_thousand_damaged_files_are_read_alike_or_rejected():
    rows = measure(5000, seed=20261201)
    assert [row for row in rows if row.escaped or row.divided] == []
    assert {row.photo for row in rows} == WHOLE.keys()
    assert all(
        row.photos for row in rows if row.photo not in ANIMATED
    )  # the damage is not so great that nothing is read


def test_the_same_seed_damages_the_same_bytes():
    first, second = (list(islice(mutations(WHOLE, 7), 50)) for _ in range(2))
    assert first == second


BROKEN_EXIF = [
    b"\0\x08\0\2\1\x12\0\3",
    b"Exif\0\0MM\0*\xff\xff\xff\xff",
    b"Exif\0\0II*\0\x08\0\0\0\xff\xff",
    b"Exif\0\0",
    b"\xff",
]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("exif", BROKEN_EXIF)
def test_a_whole_picture_with_broken_exif_is_read(kind, exif):
    plain = photos.encoded(photos.scene(), kind)
    data = photos.encoded(photos.scene(), kind, exif=exif)
    assert verdict(data) == "photos"
    assert canonical_pixels(data).tobytes() == canonical_pixels(plain).tobytes()


@pytest.mark.parametrize("name", ["avif", "heic metadata"])
def test_a_file_of_boxes_is_turned_by_its_own_transformation_whatever_its_exif_says(name):
    data = WHOLE[name]
    start = max(data.find(b"II*\0"), data.find(b"MM\0*"))
    assert start > 0
    broken = data[:start] + b"\xff" * 12 + data[start + 12 :]
    assert canonical_photo(data).size_wh == canonical_photo(broken).size_wh == (24, 40)
    assert verdict(broken) == "photos"


@pytest.mark.parametrize("junk", [b"\0" * 7, b"\xff\x00\xff\x00abc", b"\xff\xff\xff", b"1234567"])
@pytest.mark.parametrize("name", ["jpeg", "jpeg metadata", "jpeg progressive"])
def test_stray_bytes_between_two_segments_are_skipped(name, junk):
    data = WHOLE[name]
    tables = data.index(b"\xff\xdb")
    assert verdict(data[:tables] + junk + data[tables:]) == "photos"


def test_orientation_is_kept_when_the_other_metadata_are_broken():
    data = photos.encoded(
        photos.scene(), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\2\1\x12\0\3\0\0\0\1\0\6\0\0\x01\x1a\0\5"
    )
    photo = canonical_photo(data)
    assert (photo.size_wh, verdict(data)) == ((48, 64), "photos")


@pytest.mark.parametrize("place", ["before", "behind"])
def test_orientation_behind_the_pixels_of_a_png_counts(place):
    data = photos.oriented(6)
    start = data.index(b"eXIf") - 4
    chunk = data[start : start + 12 + int.from_bytes(data[start : start + 4])]
    if place == "behind":
        rest = data.replace(chunk, b"")
        data = rest[:-12] + chunk + rest[-12:]
    photo = canonical_photo(data)
    assert (photo.size_wh, photo.passed_through, verdict(data)) == ((64, 48), place == "before", "photos")


@pytest.mark.parametrize("packed", [True, False])
def test_orientation_in_the_xmp_of_a_png_counts(packed):
    text = PngInfo()
    text.add_itxt("XML:com.adobe.xmp", '<a tiff:Orientation="6"/>', zip=packed)
    photo = canonical_photo(photos.encoded(photos.scene(), pnginfo=text))
    assert (photo.size_wh, photo.passed_through) == ((48, 64), True)


def test_a_damaged_checksum_of_metadata_costs_nothing_and_one_of_pixels_the_photo():
    data = WHOLE["png metadata"]
    for name, outcome in ((b"eXIf", "photos"), (b"iCCP", "photos"), (b"zTXt", "photos"), (b"IDAT", "rejected")):
        at = data.index(name) + 6
        assert verdict(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]) == outcome


def test_a_jpeg_of_many_scans_is_rejected_before_they_are_decoded():
    data = WHOLE["jpeg progressive"]
    last = data.rindex(b"\xff\xda")
    with pytest.raises(PhotoRejected, match="more than 64 scans"):
        original_photo(data[:-2] + data[last:-2] * 100 + b"\xff\xd9")


@pytest.mark.parametrize("kind", ["webp", "avif", "heic", "png", "jpeg"])
def test_too_many_pixels_are_found_in_the_header(kind):
    with pytest.raises(PhotoRejected) as caught:
        photo_header(WHOLE[kind], PhotoLimits(max_pixels=40 * 24 - 1))
    assert caught.value.reason is PhotoReason.TOO_MANY_PIXELS
