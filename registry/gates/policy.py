"""The policy file: what each alias demands of a version. Parsed strictly, so that a mistyped rule is an error.

Owns the file's schema. ``registry.gates.thresholds`` and ``registry.gates.examine`` apply the rules.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from vqc.errors import InvalidValue

ReportName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=64)]
"""A kind of report: lower-case letters and digits, words joined by hyphens."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class MetricRule(_Section):
    """Limits of one number of a report. ``max_drop`` and ``max_rise`` compare with the active version."""

    min: float | None = None
    max: float | None = None
    max_drop: float | None = Field(default=None, ge=0)
    max_rise: float | None = Field(default=None, ge=0)

    @property
    def compares(self) -> bool:
        """Whether the rule compares with the active version."""
        return self.max_drop is not None or self.max_rise is not None

    @model_validator(mode="after")
    def _require_a_limit(self) -> MetricRule:
        if self == MetricRule.model_construct():
            raise ValueError("a metric needs at least one of min, max, max_drop, max_rise")
        return self


class ReportRule(_Section):
    """A report that must be attached. ``same`` lists fields that must equal those in the active version's report."""

    metrics: dict[str, MetricRule] = {}
    same: tuple[str, ...] = ()


class SignatureRule(_Section):
    """A signature by any of these public keys (PEM files, elliptic curve); paths are relative to the policy file."""

    keys: tuple[Path, ...] = Field(min_length=1)


Contract = Literal["required", "when_named"]
"""Whether a version must declare its contract; a declared contract must always match the running code."""


class Rule(_Section):
    """What an alias demands."""

    contract: Contract = "required"
    reports: dict[ReportName, ReportRule] = {}


class ModelRule(Rule):
    """What a model alias demands."""

    signature: SignatureRule | None = None


class Policy(_Section):
    """The whole file: the rules of each model alias, and the rule for every mission's guidance."""

    models: dict[str, ModelRule] = Field(min_length=1)
    guidance: Rule | None = None


def read_policy(path: Path) -> tuple[Policy, str]:
    """The policy and the SHA-256 (hex) of its file, which promotion records contain.

    Raises:
        InvalidValue: an unreadable file, an unknown key or an invalid value; the message names it.
    """
    try:
        data = path.read_bytes()
        found = yaml.safe_load(data)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        why = " ".join(str(error).split())
        raise InvalidValue("policy", str(path), f"must be a readable YAML file: {why}") from error
    try:
        policy = Policy.model_validate(found)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(map(str, first["loc"])) or "policy"
        raise InvalidValue(f"{path}: {field}", first["input"], _meaning(first)) from error
    return _with_absolute_keys(policy, path.parent), sha256(data).hexdigest()


def _meaning(detail: Any) -> str:
    words = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "extra_forbidden":
        return f"no such key; keys here: {', '.join(_keys(detail['loc'][:-1]))}"
    return words


def _keys(place: tuple[str | int, ...]) -> list[str]:
    """The valid keys of the section at this location in the file."""
    match place:
        case ():
            section = Policy
        case ("models", _):
            section = ModelRule
        case ("guidance",):
            section = Rule
        case (*_, "signature"):
            section = SignatureRule
        case (*_, "reports", _):
            section = ReportRule
        case _:
            section = MetricRule
    return list(section.model_fields)


def _with_absolute_keys(policy: Policy, folder: Path) -> Policy:
    """The policy with the paths of its keys made absolute."""

    def rule(one: ModelRule) -> ModelRule:
        if one.signature is None:
            return one
        keys = tuple((folder / key).absolute() for key in one.signature.keys)
        return one.model_copy(update={"signature": SignatureRule(keys=keys)})

    return policy.model_copy(update={"models": {alias: rule(one) for alias, one in policy.models.items()}})
