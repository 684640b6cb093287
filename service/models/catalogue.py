"""What the console shows of a registry: versions, aliases, findings of the gates and the moves of aliases."""

from __future__ import annotations

from dataclasses import dataclass, field

from service.platform.messages import LocalizedMessage


@dataclass(frozen=True, slots=True, kw_only=True)
class CataloguedVersion:
    """One version. ``lineage`` holds the known facts of its training; ``pushed_at`` is ISO 8601, None if unknown."""

    digest: str
    kind: str
    size_bytes: int
    aliases: tuple[str, ...] = ()
    base: str | None = None
    lineage: dict[str, str] = field(default_factory=dict)
    contract_is_running: bool | None = None
    """Whether it was trained under the running code's contract; None if it records none."""
    pushed_at: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CataloguedAlias:
    """An alias, the version it points to (None: none yet) and the one before. ``gated``: the policy has rules for it."""

    alias: str
    digest: str | None
    previous: str | None
    gated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AliasMove:
    """One move of an alias. ``at`` is ISO 8601 in UTC."""

    at: str
    alias: str
    before: str | None
    after: str | None
    by: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueSnapshot:
    """The registry at one moment; versions and moves newest first. ``policy_problem`` says why no gate can be shown."""

    where: str
    versions: tuple[CataloguedVersion, ...]
    aliases: tuple[CataloguedAlias, ...]
    moves: tuple[AliasMove, ...]
    policy_problem: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GateState:
    """A gate and its findings against a version. ``late`` gates read every byte and are only run on promotion."""

    gate: str
    findings: tuple[LocalizedMessage, ...] = ()
    late: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidacy:
    """A version that may be promoted to an alias, which points to ``active`` now."""

    version: str
    alias: str
    active: str | None
    gates: tuple[GateState, ...]

    @property
    def has_no_findings(self) -> bool:
        """Whether every gate that has been run passes."""
        return not any(gate.findings for gate in self.gates)


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricHistory:
    """One number of a report over the versions that have it, newest first, with the limits that an alias sets."""

    report: str
    metric: str
    minimum: float | None
    maximum: float | None
    values: tuple[tuple[str, float], ...]
