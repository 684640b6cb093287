"""A scenario: the requests, their rates and their SLOs; from a strict YAML file or from command-line options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from vqc.errors import InvalidValue
from vqc.missions import mission_named

DEFAULT_MISSION = "挡风板安装检查"


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Slo(_Section):
    """Met if the share ``quantile`` of all requests took ``ms`` or less; a failed request counts as infinitely slow.

    ``of`` is the whole answer or, for a stream, its first object. Time counts from the due time.
    """

    quantile: float = Field(default=0.95, gt=0, lt=1)
    ms: float = Field(gt=0)
    of: Literal["answer", "first_object"] = "answer"


class _Load(_Section):
    share: float = Field(default=1.0, gt=0)
    slo: Slo | None = None


class CaptionLoad(_Load):
    """``POST /caption``; ``sse`` sends multipart and receives a stream of objects."""

    task: Literal["caption"] = "caption"
    body: Literal["json", "multipart", "sse"] = "multipart"
    max_new_tokens: int = Field(default=256, ge=1)

    @property
    def label(self) -> str:
        """Its name in tables."""
        return f"caption {self.body}"


class _MissionLoad(_Load):
    mission: str = DEFAULT_MISSION

    @field_validator("mission")
    @classmethod
    def _check_mission(cls, name: str) -> str:
        try:
            return mission_named(name).name
        except InvalidValue as error:
            raise ValueError(error.valid) from error


class StageALoad(_MissionLoad):
    """``POST /stage-a`` with ``photos`` photos."""

    task: Literal["stage-a"] = "stage-a"
    photos: int = Field(default=1, ge=1, le=16)
    max_new_tokens: int = Field(default=48, ge=1)

    @property
    def label(self) -> str:
        """Its name in tables."""
        return f"stage-a ×{self.photos}"


class StageBLoad(_MissionLoad):
    """``POST /stage-b/groups``, then its events until the verdict. ``lines``: sent with the ticket, or written by Stage-A."""

    task: Literal["stage-b"] = "stage-b"
    photos: int = Field(default=3, ge=1, le=16)
    lines: Literal["given", "written"] = "written"
    evidence: Literal["summaries", "images", "both"] = "summaries"
    max_new_tokens: int = Field(
        default=128, ge=1, description="Limit of a sample of raw vLLM; the service has its own setting."
    )
    samples: int = Field(
        default=4, ge=1, le=64, description="Samples per request to raw vLLM; the service has its own."
    )

    @property
    def label(self) -> str:
        """Its name in tables."""
        return f"stage-b ×{self.photos}"

    @model_validator(mode="after")
    def _check_slo(self) -> Self:
        if self.slo and self.slo.of != "answer":
            raise ValueError("a ticket has no first object: slo.of must be answer")
        return self


Load = Annotated[CaptionLoad | StageALoad | StageBLoad, Field(discriminator="task")]


class Photos(_Section):
    """The photos: ``drawn`` distinct scenes, made unique for each request, except the share ``repeated``."""

    width: int = Field(default=1024, ge=256, le=8192)
    height: int = Field(default=768, ge=192, le=8192)
    drawn: int = Field(default=48, ge=1, le=2048)
    repeated: float = Field(default=0.0, ge=0, le=1)


class Scenario(_Section):
    """The load. Each of ``rates_per_s`` is a step of ``seconds`` over the whole ``mix``; a step ends with its last answer.

    With ``find``, a search from the first rate for the highest rate that meets every SLO replaces the steps.
    """

    seed: int = 17
    photos: Photos = Photos()
    mix: tuple[Load, ...] = Field(min_length=1)
    arrivals: Literal["poisson", "even"] = "poisson"
    rates_per_s: tuple[Annotated[float, Field(gt=0)], ...] = Field(default=(1.0,), min_length=1)
    seconds: float = Field(default=30.0, gt=0, le=3600)
    timeout_s: float = Field(default=120.0, gt=0)
    find: bool = False

    @model_validator(mode="after")
    def _check_mix(self) -> Self:
        if self.find and not any(load.slo for load in self.mix):
            raise ValueError("find needs an slo in the mix")
        if len({load.label for load in self.mix}) < len(self.mix):
            raise ValueError("each entry of the mix must differ in task, body or photos")
        return self


def read_scenario(path: Path) -> Scenario:
    """The scenario in a YAML file.

    Raises:
        InvalidValue: names the key, its value and what is valid.
    """
    try:
        document = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise InvalidValue("scenario", str(path), f"must be a readable YAML file: {error}") from error
    return scenario_of(document, str(path))


def scenario_of(document: object, source: str) -> Scenario:
    """The scenario of a parsed document. Raises ``InvalidValue``."""
    try:
        return Scenario.model_validate(document)
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        field = ".".join(map(str, detail["loc"])) or source
        valid = detail["msg"].removeprefix("Value error, ")
        if detail["type"] == "extra_forbidden":
            valid = "an unknown key; `docs/load-test.md` lists them"
        raise InvalidValue(field, detail.get("input"), valid) from error
