"""Canonical photos are read on the event loop, others on a thread."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from loadtest.load.photos import jpeg_photos
from service.photos.reader import INLINE_BYTES, PhotoReader
from vqc.image import PhotoLimits, canonical_photo


async def test_a_canonical_photo_needs_no_thread_and_is_unchanged() -> None:
    (jpeg,) = jpeg_photos(1, (256, 192))
    reader = PhotoReader(PhotoLimits(), 1)
    reader.close()
    assert await reader(jpeg) == canonical_photo(jpeg)
    assert (await reader(jpeg)).passed_through


@pytest.mark.parametrize("kind", ["to be converted", "large"])
async def test_any_other_photo_is_read_on_a_thread(kind: str) -> None:
    photo = io.BytesIO()
    if kind == "large":
        Image.effect_noise((800, 800), 90).convert("RGB").save(photo, "PNG")
        assert len(photo.getvalue()) > INLINE_BYTES
    else:
        Image.new("RGBA", (64, 64), (1, 2, 3, 4)).save(photo, "PNG")
    reader = PhotoReader(PhotoLimits(), 1)
    assert await reader(photo.getvalue()) == canonical_photo(photo.getvalue())
    reader.close()
    with pytest.raises(RuntimeError, match="after shutdown"):
        await reader(photo.getvalue())
