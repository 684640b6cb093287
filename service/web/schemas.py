"""What goes over the wire, in and out. Unknown fields are refused."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from engine.protocol import MAX_NEW_TOKENS


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


class DecodingIn(Wire):
    """How the answer is decoded; the defaults are deterministic."""

    max_new_tokens: int | None = Field(None, ge=1, le=MAX_NEW_TOKENS, description="Most tokens of the answer.")
    temperature: float = Field(0.0, ge=0, le=2, description="0 is greedy.")
    top_p: float = Field(1.0, gt=0, le=1)
    repetition_penalty: float = Field(1.0, gt=0, le=2)
    seed: int | None = Field(None, ge=0, lt=2**31)
    timeout_s: float | None = Field(None, gt=0, le=600, description="Your deadline; the service's own also holds.")


class ModelOut(Wire):
    """The checkpoint that answered."""

    alias: str
    digest: str


class HealthOut(Wire):
    """Whether the process works, or is ready for requests, and why not."""

    ready: bool
    reasons: list[str]
    model: ModelOut
    engine_restarts: int
