"""A guidance version as JSON: what ``guidance.json``, its snapshots and the API carry."""

from __future__ import annotations

from dataclasses import asdict

from pydantic import BaseModel, ConfigDict, ValidationError

from service.guidance.guidance import Guidance, Rule
from vqc.errors import InvalidValue


class _RuleRecord(BaseModel):
    model_config = ConfigDict(extra="forbid")

    id: str
    text: str
    evidence: tuple[str, ...] = ()


class _GuidanceRecord(BaseModel):
    model_config = ConfigDict(extra="forbid")

    mission: str
    focus: str
    rules: tuple[_RuleRecord, ...]
    issued: int
    step: int
    parent: str | None
    version: str


def record_of(guidance: Guidance) -> dict[str, object]:
    """The version's fields and, as ``version``, its digest.

    >>> from service.guidance.guidance import seeded
    >>> from vqc.missions import mission_named
    >>> first = seeded(mission_named("挡风板安装检查"), ["无需安装时不看挡风板"])
    >>> guidance_of(record_of(first)) == first
    True
    """
    return {**asdict(guidance), "version": guidance.digest}


def guidance_of(record: object) -> Guidance:
    """The version that a record holds.

    Raises:
        InvalidValue: a record with other fields, or whose ``version`` is not its digest: somebody has edited it.
    """
    try:
        read = _GuidanceRecord.model_validate(record)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise InvalidValue("guidance." + ".".join(map(str, first["loc"])), first["input"], first["msg"]) from error
    found = Guidance(
        mission=read.mission,
        focus=read.focus,
        rules=tuple(Rule(id=rule.id, text=rule.text, evidence=rule.evidence) for rule in read.rules),
        issued=read.issued,
        step=read.step,
        parent=read.parent,
    )
    if found.digest != read.version:
        valid = (
            f"must be the digest of the other fields, {found.digest}; change guidance by a new version, not in place"
        )
        raise InvalidValue("guidance.version", read.version, valid)
    return found
