"""The port to the registry as a person looks at it: versions, aliases, what stands against a promotion, and the two moves.

Which model serves is ``service.models.swap``'s; it follows the alias that is moved here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from service.platform.messages import Remark


@dataclass(frozen=True, slots=True, kw_only=True)
class CataloguedVersion:
    """One version. ``lineage`` names what is known of where it comes from; ``pushed_at`` is ISO 8601, None: unknown."""

    digest: str
    kind: str
    size_bytes: int
    aliases: tuple[str, ...] = ()
    base: str | None = None
    lineage: dict[str, str] = field(default_factory=dict)
    contract_is_running: bool | None = None
    """Whether it was made under the running code's contract; None where it names none."""
    pushed_at: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CataloguedAlias:
    """An alias, the version it points to (None: it has none yet) and the one before. ``gated``: the policy has rules for it."""

    alias: str
    digest: str | None
    previous: str | None
    gated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """One time that an alias was moved. ``at`` is ISO 8601 in UTC."""

    at: str
    alias: str
    before: str | None
    after: str | None
    by: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """The registry at one moment; versions and moves newest first. ``policy_problem`` says why no gate can be shown."""

    where: str
    versions: tuple[CataloguedVersion, ...]
    aliases: tuple[CataloguedAlias, ...]
    moves: tuple[Move, ...]
    policy_problem: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GateState:
    """A gate and what it holds against a version. ``late`` gates read every byte and are only asked on promotion."""

    gate: str
    findings: tuple[Remark, ...] = ()
    late: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidacy:
    """A version on its way to an alias that points to ``in_force`` now."""

    version: str
    alias: str
    in_force: str | None
    gates: tuple[GateState, ...]

    @property
    def passed(self) -> bool:
        """Whether no gate holds anything against it."""
        return not any(gate.findings for gate in self.gates)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One number of a report over the versions that have one, newest first, with the limits that an alias sets."""

    report: str
    metric: str
    minimum: float | None
    maximum: float | None
    values: tuple[tuple[str, float], ...]


class ModelCatalogue(Protocol):
    """A registry. Every call reads it, and may take as long as that does: call it off the event loop.

    Each raises ``CatalogueUnavailable`` where the registry cannot be read.
    """

    def look(self) -> Catalogue:
        """What there is."""
        ...

    def candidacy(self, version: str, alias: str) -> Candidacy:
        """What the gates of an alias say of a version. Raises ``NotPromoted``: no such version, no rules for the alias."""
        ...

    def measured(self, alias: str) -> tuple[Measured, ...]:
        """Every number that the alias's rules look at."""
        ...

    def promote(self, version: str, alias: str, *, expected: str | None, by: str, reason: str) -> None:
        """Points the alias at the version if all gates let it; reads every byte of it.

        Raises:
            NotPromoted: everything that stands against it; also that the alias is not at ``expected`` any more.
        """
        ...

    def rollback(self, alias: str, *, expected: str, to: str, by: str, reason: str) -> None:
        """Points the alias, if it is at ``expected``, back to a version that it has pointed to. Raises ``NotPromoted``."""
        ...
