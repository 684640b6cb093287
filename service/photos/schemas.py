"""Requests and answers of ``/caption`` and ``/stage-a`` on the wire."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from service.photos.stage_a import MAX_PHOTOS
from service.web.problems import Problem
from service.web.schemas import DecodingIn, ModelOut, PhotoIn, Wire
from vqc.caption import MAX_OBJECTS

Coordinates = Literal["norm1000", "pixel"]
Number = int | float
"""Norm1000 coordinates are integers, pixels have a tenth."""


class CaptionIn(Wire):
    """A photo to caption."""

    photo: PhotoIn


class StageAIn(Wire):
    """The photos of one ticket and the mission they were taken for."""

    mission: str = Field(description="The exact name of a mission.")
    photos: list[PhotoIn] = Field(min_length=1, max_length=MAX_PHOTOS)


class CaptionQuery(DecodingIn):
    """The query of ``POST /caption``."""

    coordinates: Coordinates = "norm1000"
    render: Literal["json", "overlay"] = Field("json", description="overlay answers a PNG with the objects drawn.")


class PhotoOut(Wire):
    """The photo as the model saw it: after EXIF orientation; the digest is of the canonical bytes."""

    width: int
    height: int
    digest: str
    passed_through: bool


class ObjectOut(Wire):
    """One object: exactly one of the three shapes, flat coordinates x1, y1, x2, y2, …"""

    bbox_2d: Annotated[list[Number], Field(min_length=4, max_length=4)] | None = None
    quad: Annotated[list[Number], Field(min_length=8, max_length=8)] | None = None
    line_points: int | None = None
    line: list[Number] | None = None
    desc: str


class TimingsOut(Wire):
    """Milliseconds."""

    photo_ms: float
    engine_ms: float
    total_ms: float | None = None


class UsageOut(Wire):
    """Tokens read and written; of a cached answer, when it was written."""

    prompt_tokens: int
    completion_tokens: int


class Answer(Wire):
    """What every answer names."""

    request_id: str
    model: ModelOut
    prompt_digest: str


class CaptionOut(Answer):
    """The dense caption of a photo, objects in reading order."""

    photo: PhotoOut
    coordinates: Coordinates
    caption: Annotated[dict[str, ObjectOut], Field(max_length=MAX_OBJECTS)]
    status: Literal["parsed", "repaired"]
    truncated: bool = Field(description="The answer was cut at max_new_tokens; complete objects are here.")
    notes: list[str] = Field(description="What had to be mended or dropped when status is repaired.")
    cached: bool = Field(False, description="The answer was written for an earlier request with the same photo.")
    usage: UsageOut
    timings: TimingsOut


class StreamedObject(Wire):
    """The SSE event ``object``."""

    n: int
    object: ObjectOut


class StageAPhotoOut(Wire):
    """One photo's line, or the problem that is this photo's alone."""

    image_id: str = Field(description="image_1 to image_n, in the order given.")
    name: str | None = None
    summary: str | None = None
    status: Literal["parsed", "repaired"] | None = None
    notes: list[str] | None = None
    cached: bool | None = None
    photo: PhotoOut | None = None
    usage: UsageOut | None = None
    timings: TimingsOut | None = None
    problem: Problem | None = None


class StageAOut(Answer):
    """One entry per photo, in the order given."""

    mission: str
    photos: list[StageAPhotoOut]
    timings_ms: float = Field(description="The whole request.")
