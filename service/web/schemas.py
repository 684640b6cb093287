"""Wire models that several capabilities share. Unknown fields are rejected."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from engine.protocol import MAX_NEW_TOKENS


class Wire(BaseModel):
    """Base of every wire model."""

    model_config = ConfigDict(extra="forbid")


class PhotoIn(Wire):
    """One photo: its bytes in base64 (a data URL is accepted too), or the URL to fetch it from."""

    name: str | None = Field(None, max_length=255, description="A name of your own, returned with the result.")
    base64: str | None = Field(None, description="The encoded photo (JPEG, PNG, WebP, AVIF, HEIC) in standard base64.")
    url: str | None = Field(None, max_length=2048, description="An https URL on an allowed host (`VQC_URL_HOSTS`).")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.base64 is None) == (self.url is None):
            raise ValueError("exactly one of base64 and url must be set")
        return self


class DecodingIn(Wire):
    """Decoding parameters; the defaults are deterministic."""

    max_new_tokens: int | None = Field(None, ge=1, le=MAX_NEW_TOKENS, description="The longest answer, in tokens.")
    temperature: float = Field(0.0, ge=0, le=2, description="0 is greedy.")
    top_p: float = Field(1.0, gt=0, le=1, description="Nucleus sampling: the share of probability to sample from.")
    repetition_penalty: float = Field(1.0, gt=0, le=2, description="Above 1 makes repeated tokens less likely.")
    seed: int | None = Field(None, ge=0, lt=2**31, description="Seed of sampling.")
    timeout_s: float | None = Field(
        None, gt=0, le=600, description="Deadline in seconds; the service's own deadline also applies."
    )


class ModelOut(Wire):
    """The model that answered."""

    alias: str
    digest: str


class HealthOut(Wire):
    """Whether the service is ready for requests; ``reasons`` say why it is not."""

    ready: bool
    reasons: list[str]
    model: ModelOut
    engine_restarts: int
