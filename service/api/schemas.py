"""What goes over the wire, in and out. Unknown fields are refused."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from service.api.problems import Problem
from service.application.stage_a import MAX_PHOTOS
from service.domain.generation import LARGEST_ANSWER
from vqc.caption import MAX_OBJECTS

Coordinates = Literal["norm1000", "pixel"]
Number = int | float
"""Norm1000 coordinates are integers, pixels have a tenth."""


class Wire(BaseModel):
    """Base of everything on the wire."""

    model_config = ConfigDict(extra="forbid")


class PhotoIn(Wire):
    """One photo: its bytes in base64 (a data URL is accepted too), or where to fetch it."""

    name: str | None = Field(None, max_length=255, description="A name of your own, given back with the result.")
    base64: str | None = Field(None, description="The encoded photo (JPEG, PNG, WebP) in standard base64.")
    url: str | None = Field(None, max_length=2048, description="An https URL of an allow-listed host.")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.base64 is None) == (self.url is None):
            raise ValueError("give exactly one of base64 and url")
        return self


class CaptionIn(Wire):
    """A photo to caption."""

    photo: PhotoIn


class StageAIn(Wire):
    """The photos of one ticket and the mission they were taken for."""

    mission: str = Field(description="The exact name of a mission.")
    photos: list[PhotoIn] = Field(min_length=1, max_length=MAX_PHOTOS)


class KnobsIn(Wire):
    """How the answer is decoded; the defaults are deterministic."""

    max_new_tokens: int | None = Field(None, ge=1, le=LARGEST_ANSWER, description="Most tokens of the answer.")
    temperature: float = Field(0.0, ge=0, le=2, description="0 is greedy.")
    top_p: float = Field(1.0, gt=0, le=1)
    repetition_penalty: float = Field(1.0, gt=0, le=2)
    seed: int | None = Field(None, ge=0, lt=2**31)
    timeout_s: float | None = Field(None, gt=0, le=600, description="Your deadline; the service's own also holds.")


class CaptionQuery(KnobsIn):
    """The query of ``POST /caption``."""

    coordinates: Coordinates = "norm1000"
    render: Literal["json", "overlay"] = Field("json", description="overlay answers a PNG with the objects drawn.")


class ModelOut(Wire):
    """The checkpoint that answered."""

    alias: str
    digest: str


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


class HealthOut(Wire):
    """Whether the process works, or is ready for requests, and why not."""

    ready: bool
    reasons: list[str]
    model: ModelOut
    engine_restarts: int
