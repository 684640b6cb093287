"""The model catalogue over a registry and the policy file of its gates."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from registry.errors import AliasMoved, RegistryError, UnknownVersion
from registry.gates.errors import NeverActive, NothingToRollBackTo, PromotionRefused
from registry.gates.examine import contract_findings, examine, pointed_to
from registry.gates.findings import Finding
from registry.gates.policy import MetricRule, ModelRule, read_policy
from registry.gates.promote import previous_of, promote, rollback
from registry.gates.reports import newest_report, report_of
from registry.gates.thresholds import value_at
from service.models.catalogue import (
    Candidacy,
    Catalogue,
    CataloguedAlias,
    CataloguedVersion,
    GateState,
    Measured,
    Move,
)
from service.platform.errors import CatalogueUnavailable, NotPromoted
from service.platform.messages import Remark
from vqc.errors import InvalidValue

if TYPE_CHECKING:
    from registry import AuditEntry, Registry, Version

MOST_SHOWN = 12
"""Versions in a chart, and moves in the list."""


class RegistryCatalogue:
    """What is in ``registry``, judged by the rules of ``policy``, which is read each time: who edits it need not restart."""

    def __init__(self, registry: Registry, policy: Path, cache: Path) -> None:
        self._registry = registry
        self._policy = policy
        self._cache = cache

    def look(self) -> Catalogue:
        """What there is. Raises ``CatalogueUnavailable``."""
        with _readable(self._registry):
            log, pointers = self._registry.audit(), self._registry.aliases()
            rules, problem = self._rules()
            pushed = {entry.after: entry.at for entry in log if entry.action == "push"}
            versions = [self._version(one, pointers, pushed.get(one.digest)) for one in self._registry.versions()]
            versions.sort(key=lambda one: one.pushed_at or "", reverse=True)
            return Catalogue(
                where=self._registry.where,
                versions=tuple(versions),
                aliases=tuple(self._alias(name, pointers.get(name), name in rules) for name in {**rules, **pointers}),
                moves=tuple(_move(entry) for entry in reversed(log) if entry.action == "move")[:MOST_SHOWN],
                policy_problem=problem,
            )

    def candidacy(self, version: str, alias: str) -> Candidacy:
        """What the gates of an alias say of a version, as far as can be said without reading its weights."""
        with _readable(self._registry), _not_promoted(alias):
            rule, _ = self._rule(alias)
            found = examine(self._registry, version, alias, rule, self._cache, read_files=False)
            said: dict[str, list[Remark]] = {"contract": [], **{name: [] for name in rule.reports}}
            for finding in found.findings:
                said.setdefault(finding.gate, []).append(_remark(finding))
            late = ["bytes", *(["signature"] if rule.signature else [])]
            gates = [GateState(gate=gate, findings=tuple(remarks)) for gate, remarks in said.items()]
            return Candidacy(
                version=found.version,
                alias=alias,
                in_force=found.active,
                gates=(*gates, *(GateState(gate=gate, late=True) for gate in late)),
            )

    def measured(self, alias: str) -> tuple[Measured, ...]:
        """Every number that the alias's rules look at; the newest versions, and the one in force."""
        with _readable(self._registry), _not_promoted(alias):
            rule, _ = self._rule(alias)
            shown = [one.digest for one in self._registry.versions()][: -MOST_SHOWN - 1 : -1]
            in_force = pointed_to(self._registry, alias)
            if in_force is not None and in_force not in shown:
                shown.append(in_force)
            reports = {
                name: {digest: report_of(newest_report(self._registry, digest, name)) for digest in shown}
                for name in rule.reports
            }
            return tuple(
                _measured(name, metric, limits, reports[name])
                for name, one in rule.reports.items()
                for metric, limits in one.metrics.items()
            )

    def promote(self, version: str, alias: str, *, expected: str | None, by: str, reason: str) -> None:
        """Points the alias at the version if all gates let it. Raises ``NotPromoted``."""
        with _readable(self._registry), _not_promoted(alias):
            rule, policy = self._rule(alias)
            self._check_at(alias, expected)
            promote(self._registry, version, alias, rule, policy=policy, cache=self._cache, actor=by, reason=reason)

    def rollback(self, alias: str, *, expected: str, to: str, by: str, reason: str) -> None:
        """Points the alias back to a version that it has pointed to. Raises ``NotPromoted``."""
        with _readable(self._registry), _not_promoted(alias):
            self._check_at(alias, expected)
            rollback(self._registry, alias, to=to, actor=by, reason=reason)

    def _check_at(self, alias: str, expected: str | None) -> None:
        found = pointed_to(self._registry, alias)
        if found != expected:
            moved = "somebody has moved it to {version} meanwhile; look at it again"
            raise NotPromoted(alias, [Remark.of("moved", moved, version=found or "–")])

    def _rules(self) -> tuple[dict[str, ModelRule], str | None]:
        try:
            return read_policy(self._policy)[0].models, None
        except InvalidValue as error:
            return {}, str(error)

    def _rule(self, alias: str) -> tuple[ModelRule, str]:
        policy, digest = read_policy(self._policy)
        if alias not in policy.models:
            names = ", ".join(policy.models)
            raise NotPromoted(
                alias, [Remark.of("no_rules", "{policy} has rules for: {names}", policy=self._policy, names=names)]
            )
        return policy.models[alias], digest

    def _version(self, one: Version, pointers: dict[str, str], pushed_at: str | None) -> CataloguedVersion:
        facts = asdict(one.facts)
        known = {key: facts[key] for key in ("base_model", "adapter", "dataset", "run", "git_revision") if facts[key]}
        return CataloguedVersion(
            digest=one.digest,
            kind=one.kind,
            size_bytes=one.size_bytes,
            aliases=tuple(alias for alias, digest in pointers.items() if digest == one.digest),
            base=one.base,
            lineage=known,
            contract_is_running=not contract_findings(self._registry, one.digest) if one.contract else None,
            pushed_at=pushed_at,
        )

    def _alias(self, alias: str, digest: str | None, gated: bool) -> CataloguedAlias:
        previous = previous_of(self._registry, alias, digest) if digest else None
        return CataloguedAlias(alias=alias, digest=digest, previous=previous, gated=gated)


def _measured(name: str, metric: str, limits: MetricRule, reports: dict[str, dict[str, object] | None]) -> Measured:
    said = {digest: value_at(report, metric) for digest, report in reports.items() if report is not None}
    numbers = [
        (digest, float(value))
        for digest, value in said.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    ]
    return Measured(report=name, metric=metric, minimum=limits.min, maximum=limits.max, values=tuple(numbers))


def _move(entry: AuditEntry) -> Move:
    return Move(
        at=entry.at,
        alias=entry.alias or "",
        before=entry.before,
        after=entry.after,
        by=entry.actor,
        reason=entry.reason,
    )


def _remark(finding: Finding) -> Remark:
    return Remark(code=finding.code, text=finding.message, values=finding.values)


@contextmanager
def _not_promoted(alias: str) -> Iterator[None]:
    """What the gates refuse, and what a caller has named wrongly, as ``NotPromoted``."""
    try:
        yield
    except PromotionRefused as refused:
        raise NotPromoted(alias, [replace(_remark(one), about=one.gate) for one in refused.findings]) from refused
    except (NothingToRollBackTo, NeverActive, AliasMoved, UnknownVersion, InvalidValue) as error:
        raise NotPromoted(alias, [Remark.of("other", "{why}", why=error)]) from error


@contextmanager
def _readable(registry: Registry) -> Iterator[None]:
    """What keeps the registry from being read or written as ``CatalogueUnavailable``."""
    try:
        yield
    except (RegistryError, OSError) as error:
        raise CatalogueUnavailable(registry.where, str(error)) from error
