"""The photos of the load."""

from __future__ import annotations

from loadtest.load.photos import jpeg_photos


def test_the_photos_are_distinct_jpegs_and_the_same_every_time() -> None:
    photos = jpeg_photos(3, (256, 192))
    assert len(set(photos)) == 3
    assert all(photo.startswith(b"\xff\xd8") for photo in photos)
    assert jpeg_photos(3, (256, 192)) == photos
