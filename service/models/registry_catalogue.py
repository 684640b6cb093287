"""The registry as the console shows it: versions, aliases, what the gates find, promotion and rollback.

``service.models.swap`` decides which version is served; it follows the aliases that are moved here.
"""

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
    AliasMove,
    Candidacy,
    CataloguedAlias,
    CataloguedVersion,
    CatalogueSnapshot,
    GateState,
    MetricHistory,
)
from service.platform.errors import CatalogueUnavailable, NotPromoted
from service.platform.messages import LocalizedMessage
from vqc.errors import InvalidValue

if TYPE_CHECKING:
    from registry import AuditEntry, Registry, Version

MOST_SHOWN = 12
"""Versions in a chart, and moves in the list."""


class RegistryCatalogue:
    """The versions of ``registry`` under the rules of ``policy``, which is read at each call: an edit needs no restart.

    Every call reads the registry and may take as long as that does: call it off the event loop. Each raises
    ``CatalogueUnavailable`` if the registry cannot be read.
    """

    def __init__(self, registry: Registry, policy: Path, cache: Path) -> None:
        self._registry = registry
        self._policy = policy
        self._cache = cache

    def snapshot(self) -> CatalogueSnapshot:
        """Everything in the registry; versions and moves newest first."""
        with _registry_errors(self._registry):
            log, pointers = self._registry.audit(), self._registry.aliases()
            rules, problem = self._rules()
            pushed = {entry.after: entry.at for entry in log if entry.action == "push"}
            versions = [self._version(one, pointers, pushed.get(one.digest)) for one in self._registry.versions()]
            versions.sort(key=lambda one: one.pushed_at or "", reverse=True)
            return CatalogueSnapshot(
                where=self._registry.where,
                versions=tuple(versions),
                aliases=tuple(self._alias(name, pointers.get(name), name in rules) for name in {**rules, **pointers}),
                moves=tuple(_move(entry) for entry in reversed(log) if entry.action == "move")[:MOST_SHOWN],
                policy_problem=problem,
            )

    def candidacy(self, version: str, alias: str) -> Candidacy:
        """What the gates of an alias find against a version without reading its weights.

        Raises:
            NotPromoted: there is no such version, or the policy has no rules for the alias.
        """
        with _registry_errors(self._registry), _promotion_errors(alias):
            rule, _ = self._rule(alias)
            found = examine(self._registry, version, alias, rule, self._cache, read_files=False)
            findings: dict[str, list[LocalizedMessage]] = {"contract": [], **{name: [] for name in rule.reports}}
            for finding in found.findings:
                findings.setdefault(finding.gate, []).append(_message(finding))
            late = ["bytes", *(["signature"] if rule.signature else [])]
            gates = [GateState(gate=gate, findings=tuple(messages)) for gate, messages in findings.items()]
            return Candidacy(
                version=found.version,
                alias=alias,
                active=found.active,
                gates=(*gates, *(GateState(gate=gate, late=True) for gate in late)),
            )

    def metric_histories(self, alias: str) -> tuple[MetricHistory, ...]:
        """Every number that the alias's rules limit, over the newest versions and the one the alias points to."""
        with _registry_errors(self._registry), _promotion_errors(alias):
            rule, _ = self._rule(alias)
            shown = [one.digest for one in self._registry.versions()][: -MOST_SHOWN - 1 : -1]
            active = pointed_to(self._registry, alias)
            if active is not None and active not in shown:
                shown.append(active)
            reports = {
                name: {digest: report_of(newest_report(self._registry, digest, name)) for digest in shown}
                for name in rule.reports
            }
            return tuple(
                _metric_history(name, metric, limits, reports[name])
                for name, one in rule.reports.items()
                for metric, limits in one.metrics.items()
            )

    def promote(self, version: str, alias: str, *, expected: str | None, by: str, reason: str) -> None:
        """Moves the alias to the version if every gate passes; reads every byte of it.

        Raises:
            NotPromoted: all findings; also if the alias no longer points to ``expected``.
        """
        with _registry_errors(self._registry), _promotion_errors(alias):
            rule, policy = self._rule(alias)
            self._check_at(alias, expected)
            promote(self._registry, version, alias, rule, policy=policy, cache=self._cache, actor=by, reason=reason)

    def rollback(self, alias: str, *, expected: str, to: str, by: str, reason: str) -> None:
        """Moves the alias from ``expected`` back to a version that it has pointed to before. Raises ``NotPromoted``."""
        with _registry_errors(self._registry), _promotion_errors(alias):
            self._check_at(alias, expected)
            rollback(self._registry, alias, to=to, actor=by, reason=reason)

    def _check_at(self, alias: str, expected: str | None) -> None:
        found = pointed_to(self._registry, alias)
        if found != expected:
            moved = "the alias has been moved to {version} meanwhile; check it and try again"
            raise NotPromoted(alias, [LocalizedMessage.of("moved", moved, version=found or "–")])

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
                alias,
                [LocalizedMessage.of("no_rules", "{policy} has rules for: {names}", policy=self._policy, names=names)],
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


def _metric_history(
    name: str, metric: str, limits: MetricRule, reports: dict[str, dict[str, object] | None]
) -> MetricHistory:
    found = {digest: value_at(report, metric) for digest, report in reports.items() if report is not None}
    numbers = [
        (digest, float(value))
        for digest, value in found.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    ]
    return MetricHistory(report=name, metric=metric, minimum=limits.min, maximum=limits.max, values=tuple(numbers))


def _move(entry: AuditEntry) -> AliasMove:
    return AliasMove(
        at=entry.at,
        alias=entry.alias or "",
        before=entry.before,
        after=entry.after,
        by=entry.actor,
        reason=entry.reason,
    )


def _message(finding: Finding) -> LocalizedMessage:
    return LocalizedMessage(code=finding.code, text=finding.message, values=finding.values)


@contextmanager
def _promotion_errors(alias: str) -> Iterator[None]:
    """Raises what the gates reject, and an unknown version or alias, as ``NotPromoted``."""
    try:
        yield
    except PromotionRefused as refused:
        raise NotPromoted(alias, [replace(_message(one), about=one.gate) for one in refused.findings]) from refused
    except (NothingToRollBackTo, NeverActive, AliasMoved, UnknownVersion, InvalidValue) as error:
        raise NotPromoted(alias, [LocalizedMessage.of("other", "{why}", why=error)]) from error


@contextmanager
def _registry_errors(registry: Registry) -> Iterator[None]:
    """Raises a registry that cannot be read or written as ``CatalogueUnavailable``."""
    try:
        yield
    except (RegistryError, OSError) as error:
        raise CatalogueUnavailable(registry.where, str(error)) from error
