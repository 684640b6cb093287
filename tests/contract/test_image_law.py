"""Law 2: one canonical image. A canonical photo passes through byte for byte, any other keeps exactly its pixels."""

import contextlib
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.support import photos
from vqc.errors import PhotoReason, PhotoRejected
from vqc.image import PhotoLimits, canonical_image, canonical_photo


def pixels(image: Image.Image):
    return np.asarray(image)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_a_canonical_photo_passes_through_byte_for_byte(kind):
    data = photos.encoded(photos.scene(), kind)
    photo = canonical_photo(data)
    assert photo.passed_through
    assert photo.data is data
    assert photo.size_wh == (64, 48)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_shows_the_same_upright_picture(orientation):
    photo = canonical_photo(photos.oriented(orientation))
    assert photo.size_wh == (64, 48)
    assert photo.passed_through
    np.testing.assert_array_equal(pixels(photo.decode()), pixels(photos.scene()))


def test_what_is_sent_decodes_to_what_the_trainer_sees():
    for data in (photos.oriented(6), photos.sixteen_bit(), cmyk(), with_alpha("RGBA"), with_alpha("LA"), palette()):
        with Image.open(io.BytesIO(data)) as image:
            np.testing.assert_array_equal(pixels(canonical_photo(data).decode()), pixels(canonical_image(image)))


def cmyk() -> bytes:
    return photos.encoded(photos.scene().convert("CMYK"), "JPEG")


def with_alpha(mode: str) -> bytes:
    image = photos.scene().convert(mode)
    image.putalpha(0)
    return photos.encoded(image)


def palette() -> bytes:
    return photos.encoded(photos.scene().convert("P"), transparency=0)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_what_is_transparent_is_white(mode):
    assert (pixels(canonical_photo(with_alpha(mode)).decode()) == 255).all()


def test_sixteen_bit_grey_keeps_its_brightness():
    photo = canonical_photo(photos.sixteen_bit())
    assert pixels(photo.decode())[0, :, 0].tolist() == [x * 1600 // 256 for x in range(40)]


def test_cmyk_becomes_rgb():
    photo = canonical_photo(cmyk())
    assert photo.passed_through
    assert pixels(photo.decode()).shape == (48, 64, 3)


def test_grey_becomes_rgb():
    photo = canonical_photo(photos.encoded(photos.scene().convert("L"), "JPEG"))
    assert photo.passed_through
    assert photo.decode().mode == "RGB"


@pytest.mark.parametrize("name", photos.BAD)
def test_a_bad_photo_is_rejected_with_its_reason(name):
    with pytest.raises(PhotoRejected) as caught:
        canonical_photo(photos.BAD[name])
    assert caught.value.reason is PhotoReason(photos.REASONS[name])
    assert caught.value.valid in str(caught.value)


def test_limits_are_named():
    with pytest.raises(PhotoRejected, match="at most 1,000 bytes"):
        canonical_photo(photos.jpeg(), PhotoLimits(max_bytes=1000))
    with pytest.raises(PhotoRejected, match=r"64 × 48 px.*at most 100 pixels"):
        canonical_photo(photos.jpeg(), PhotoLimits(max_pixels=100))


@given(st.integers(2, 2000))
def test_a_jpeg_cut_anywhere_is_found_without_decoding(cut):
    data = photos.jpeg((160, 120))
    with pytest.raises(PhotoRejected):
        canonical_photo(data[: len(data) - 1 - cut % (len(data) - 3)])


@given(
    st.binary(max_size=300),
    st.sampled_from([b"", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"RIFF\x20\x00\x00\x00WEBP"]),
)
def test_any_bytes_are_a_photo_or_rejected(tail, head):
    with contextlib.suppress(PhotoRejected):
        canonical_photo(head + tail)
