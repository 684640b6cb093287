"""What the photo routes need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from starlette.requests import Request

from service.photos.caption import CaptionPhoto
from service.photos.reader import FetchPhoto, PhotoReader
from service.photos.stage_a import SummarisePhotos


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodingDefaults:
    """Defaults of requests; ``timeout_s`` is also the longest deadline that a request can set."""

    caption_max_new_tokens: int = 2048
    stage_a_max_new_tokens: int = 256
    timeout_s: float = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoServices:
    """Captions, Stage-A, and how a photo is fetched and read."""

    caption: CaptionPhoto
    stage_a: SummarisePhotos
    fetch: FetchPhoto
    reader: PhotoReader
    defaults: DecodingDefaults


def photo_services(request: Request) -> PhotoServices:
    """The photo services of the application that handles ``request``."""
    return cast(PhotoServices, request.app.state.photos)
