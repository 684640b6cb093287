"""Wire models of ``/caption`` and ``/stage-a``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from service.photos.stage_a import MAX_PHOTOS
from service.web.problems import Problem
from service.web.schemas import DecodingIn, ModelOut, PhotoIn, Wire
from vqc.caption import MAX_OBJECTS

Coordinates = Literal["norm1000", "pixel"]
Number = int | float
"""Norm1000 coordinates are integers; pixels have one decimal."""


class CaptionIn(Wire):
    """A photo to caption."""

    photo: PhotoIn


class StageAIn(Wire):
    """The photos of one ticket and their mission."""

    mission: str = Field(description="The exact name of a mission.")
    photos: list[PhotoIn] = Field(min_length=1, max_length=MAX_PHOTOS)


class CaptionQuery(DecodingIn):
    """The query of ``POST /caption``."""

    coordinates: Coordinates = "norm1000"
    render: Literal["json", "overlay"] = Field("json", description="`overlay` returns a PNG with the objects drawn.")


class PhotoOut(Wire):
    """The photo as the model sees it, after EXIF orientation; the digest is of the canonical bytes."""

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
    """Tokens of prompt and answer; for a cached answer, those of its generation."""

    prompt_tokens: int
    completion_tokens: int


class PhotoResponse(Wire):
    """What every response names."""

    request_id: str
    model: ModelOut
    prompt_digest: str


class CaptionOut(PhotoResponse):
    """The dense caption of a photo, objects in reading order."""

    photo: PhotoOut
    coordinates: Coordinates
    caption: Annotated[dict[str, ObjectOut], Field(max_length=MAX_OBJECTS)]
    status: Literal["parsed", "repaired"]
    truncated: bool = Field(description="The answer was cut at max_new_tokens; its complete objects are included.")
    notes: list[str] = Field(description="The repairs, if the status is `repaired`.")
    cached: bool = Field(False, description="The answer was generated for an earlier identical request.")
    usage: UsageOut
    timings: TimingsOut


class StreamedObject(Wire):
    """The SSE event ``object``."""

    n: int
    object: ObjectOut


class StageAPhotoOut(Wire):
    """The line of one photo, or the problem of this photo."""

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


class StageAOut(PhotoResponse):
    """One entry per photo, in the order given."""

    mission: str
    trained: bool = Field(description="False if the model was not trained on this mission; its lines are then a guess.")
    photos: list[StageAPhotoOut]
    timings_ms: float = Field(description="The whole request.")
