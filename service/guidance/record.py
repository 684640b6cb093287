"""A guidance version and its history as JSON: the format of ``guidance.json``, of its snapshots and of ``history.jsonl``."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from pydantic import BaseModel, ConfigDict, ValidationError

from service.guidance.guidance import Guidance, Rule
from vqc.errors import InvalidValue


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryEntry:
    """One line of a mission's history. ``at`` is ISO 8601 in UTC; ``run`` names the run that learned the version, if any."""

    at: str
    action: str
    version: str
    step: int
    by: str
    note: str = ""
    run: str = ""


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
    """The fields of a version and, as ``version``, its digest.

    >>> from service.guidance.guidance import first_version
    >>> from vqc.missions import mission_named
    >>> first = first_version(mission_named("挡风板安装检查"), ["无需安装时不看挡风板"])
    >>> guidance_of(record_of(first)) == first
    True
    """
    return {**asdict(guidance), "version": guidance.digest}


def guidance_of(record: object) -> Guidance:
    """The version in a record; the inverse of ``record_of``.

    Raises:
        InvalidValue: the record has other fields, or its ``version`` is not its digest because the file was edited.
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
