"""The upright photo with the objects of its caption drawn on it."""

from __future__ import annotations

import io

from scenes.overlay import draw_overlay
from service.photos.results import CaptionResult


def overlay_png(result: CaptionResult) -> bytes:
    """The picture as PNG. Takes tens of milliseconds: call it off the event loop."""
    photo, caption = result.answer.photo, result.answer.outcome.caption
    objects = [item.to_pixels(photo.size_wh) for item in caption.objects] if caption else []
    encoded = io.BytesIO()
    draw_overlay(photo.decode(), objects).save(encoded, "PNG", compress_level=1)
    return encoded.getvalue()
