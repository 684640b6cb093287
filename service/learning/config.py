"""The configuration of a training-free run: a strict YAML file, checked before anything else is loaded."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from engine.protocol import DecodingParams
from service.guidance.gate import GateRule
from service.judging.rollouts import plan
from service.judging.sampler import EvidenceKind, Sampler
from service.learning.improve import ReflectionRule
from service.learning.loop import LoopPlan
from vqc.errors import InvalidValue

Paths = Annotated[tuple[Path, ...], BeforeValidator(lambda value: [value] if isinstance(value, str) else value)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ModelSection(_Section):
    """The checkpoint, unless ``--model``, ``VQC_MODEL`` or an engine's URL names one."""

    model_name_or_path: str | None = None


class GuidanceSection(_Section):
    """``path`` is a guidance store to start from (null: the missions' own focus); ``retention`` counts the versions kept."""

    path: Path | None = None
    retention: int = Field(default=5, ge=1)


class OutputSection(_Section):
    """A run writes below ``root/run_name``."""

    root: Path = Path("output/stage_b")
    run_name: str = Field(default="run", pattern=r"^[^/\s.][^/\s]*$")

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return self.root / self.run_name


class DecodeSection(_Section):
    """One entry of the grid."""

    temperature: float
    top_p: float = 1.0
    max_new_tokens: int = 256
    seed: int | None = None

    @property
    def decoding(self) -> DecodingParams:
        """The entry as parameters of a request. Raises ``InvalidValue``."""
        return DecodingParams(
            max_new_tokens=self.max_new_tokens, temperature=self.temperature, top_p=self.top_p, seed=self.seed
        )


class SamplerSection(_Section):
    """``adaptive`` is the certainty of the majority above which sampling of a ticket stops; null samples the whole plan."""

    samples_per_decode: int = 4
    grid: tuple[DecodeSection, ...]
    adaptive: float | None = None

    def sampler(self, evidence: EvidenceKind, seed: int) -> Sampler:
        """How tickets are sampled. Raises ``InvalidValue``."""
        waves = plan([entry.decoding for entry in self.grid], self.samples_per_decode, seed)
        return Sampler(waves=waves, evidence=evidence, adaptive=self.adaptive)


DEFAULT_SEED = 17
DEFAULT_SAMPLER = SamplerSection(
    samples_per_decode=4,
    grid=(
        DecodeSection(temperature=0.3, top_p=0.9, max_new_tokens=128, seed=42),
        DecodeSection(temperature=0.6, top_p=0.95, max_new_tokens=128, seed=142),
        DecodeSection(temperature=0.9, top_p=1.0, max_new_tokens=128, seed=242),
    ),
    adaptive=0.95,
)
"""The sampler of a configuration without one, and of submitted tickets without a configuration."""


class GateSection(_Section):
    """The requirements on a change of guidance, measured on the held-out tickets."""

    min_rer: float = 0.1
    min_share: float = 0.8
    resamples: int = 200
    min_tickets: int = 20


class ReflectionSection(_Section):
    """With ``enabled`` false the run only judges. ``batch_size`` is the number of cases in one prompt."""

    enabled: bool = True
    batch_size: int = Field(default=8, ge=1)
    max_batches_per_epoch: int = Field(default=4, ge=1)
    max_operations: int = Field(default=3, ge=1)
    change_cap_per_epoch: int = Field(default=10, ge=1)
    temperature: float = 0.3
    top_p: float = 0.9
    max_new_tokens: int = 1024
    gate: GateSection = GateSection()

    @property
    def decoding(self) -> DecodingParams:
        """How reflection is decoded, but for the seed. Raises ``InvalidValue``."""
        return DecodingParams(max_new_tokens=self.max_new_tokens, temperature=self.temperature, top_p=self.top_p)


class EvaluationSection(_Section):
    """The shares of tickets that reflection never reads: for the gate, and for calibration."""

    holdout: float = Field(default=0.3, ge=0, le=1)
    calibrate: float = Field(default=0.2, ge=0, le=1)

    @model_validator(mode="after")
    def _check_sum(self) -> EvaluationSection:
        if self.holdout + self.calibrate > 1:
            raise ValueError(f"holdout {self.holdout:g} and calibrate {self.calibrate:g} together exceed 1")
        return self


class RunnerSection(_Section):
    """``concurrency`` tickets are judged at once. ``timeout_s`` is the deadline of an engine request; ``patience_s`` is how
    long a ticket waits for an unavailable engine.
    """

    epochs: int = Field(default=1, ge=1)
    concurrency: int = Field(default=64, ge=1, le=4096)
    timeout_s: float = Field(default=300.0, gt=0)
    patience_s: float = Field(default=120.0, ge=0)


class StageBConfig(_Section):
    """A run. ``mission`` applies to photo lines that name none. Photo names are relative to ``photos_root`` (default: the
    folder of the file that names them). ``missions_path`` adds your own missions.
    """

    stage_a_paths: Paths = Field(min_length=1)
    mission: str | None = None
    missions_path: Path | None = None
    photos_root: Path | None = None
    seed: int = Field(default=DEFAULT_SEED, ge=0, lt=2**31)
    evidence: EvidenceKind = EvidenceKind.SUMMARIES
    model: ModelSection = ModelSection()
    guidance: GuidanceSection = GuidanceSection()
    output: OutputSection = OutputSection()
    sampler: SamplerSection = DEFAULT_SAMPLER
    reflection: ReflectionSection = ReflectionSection()
    evaluation: EvaluationSection = EvaluationSection()
    runner: RunnerSection = RunnerSection()

    def sampler_of(self) -> Sampler:
        """How tickets are sampled. Raises ``InvalidValue``."""
        return self.sampler.sampler(self.evidence, self.seed)

    def plan_of(self) -> LoopPlan:
        """The numbers of the loop."""
        return LoopPlan(
            seed=self.seed,
            epochs=self.runner.epochs,
            holdout=self.evaluation.holdout,
            calibrate=self.evaluation.calibrate,
            planned=self.sampler_of().sample_count,
        )

    def rule_of(self) -> ReflectionRule:
        """The limits of reflection. Raises ``InvalidValue``."""
        section = self.reflection
        return ReflectionRule(
            batch_size=section.batch_size,
            max_batches_per_epoch=section.max_batches_per_epoch,
            max_operations=section.max_operations,
            change_cap_per_epoch=section.change_cap_per_epoch,
            gate=GateRule(**section.gate.model_dump()),
        )


def default_sampler() -> Sampler:
    """The sampler of a configuration that sets neither sampler, seed nor evidence."""
    return DEFAULT_SAMPLER.sampler(EvidenceKind.SUMMARIES, DEFAULT_SEED)


def load_config(path: Path, output: Path | None = None) -> StageBConfig:
    """The configuration of a YAML file; ``output`` replaces ``output.root``. Relative paths start in the working directory.

    Raises:
        InvalidValue: an unreadable file, an unknown key (named with the nearest valid one), a value out of range.
    """
    try:
        tree = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidValue("config", str(path), "must be a readable UTF-8 YAML file") from error
    except yaml.YAMLError as error:
        raise InvalidValue(str(path), type(error).__name__, f"must be YAML: {' '.join(str(error).split())}") from error
    if not isinstance(tree, dict):
        raise InvalidValue(str(path), tree, "must be a mapping of keys")
    try:
        config = StageBConfig.model_validate(tree)
        _ = config.sampler_of(), config.rule_of(), config.reflection.decoding
    except ValidationError as error:
        raise _invalid_value(path, error) from error
    if output is not None:
        config = config.model_copy(update={"output": config.output.model_copy(update={"root": output})})
    return config


def _invalid_value(path: Path, error: ValidationError) -> InvalidValue:
    first = error.errors(include_url=False)[0]
    key = ".".join(map(str, first["loc"]))
    if first["type"] != "extra_forbidden":
        return InvalidValue(f"{path}: {key}", first["input"], first["msg"].removeprefix("Value error, "))
    known = list(_keys(StageBConfig))
    nearest = get_close_matches(key, known, n=1, cutoff=0)
    return InvalidValue(f"{path}: {key}", first["input"], f"unknown key; nearest: {nearest[0]}")


def _keys(section: type[BaseModel], prefix: str = "") -> list[str]:
    found: list[str] = []
    for name, field in section.model_fields.items():
        kind: Any = field.annotation
        inner = isinstance(kind, type) and issubclass(kind, BaseModel)
        found += _keys(kind, f"{prefix}{name}.") if inner else [prefix + name]
    return found
