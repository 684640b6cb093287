"""Promotion and rollback: an alias moves to a version that passed every gate, or back to an earlier one.

The alias moves by compare-and-swap from the version that the gates compared with, so a concurrent move makes the
promotion fail. The decision and its grounds are attached to the version as a promotion record; the registry's log has
the move.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from registry.gates.errors import NeverActive, NothingToRollBackTo, PromotionRefused
from registry.gates.examine import contract_findings, examine, pointed_to
from registry.gates.policy import Contract, ModelRule, Rule
from registry.gates.reports import PROMOTION_TYPE, parsed_report
from vqc.contract import contract_digests

if TYPE_CHECKING:
    from registry.core import Registry


PROMOTE = "promote"
ROLLBACK = "rollback"
"""The action's name in promotion records and in the log's reasons."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AliasMove:
    """An alias that moved to ``version`` from ``previous`` (None: it did not exist)."""

    alias: str
    version: str
    previous: str | None


def promote(
    registry: Registry,
    version: str,
    alias: str,
    rule: Rule,
    *,
    policy: str,
    cache: Path,
    actor: str | None = None,
    reason: str = "",
) -> AliasMove:
    """Points ``alias`` at ``version`` if no gate fails; ``policy`` is the policy file's digest, for the promotion record.

    Raises:
        PromotionRefused: every failed gate.
        AliasMoved: another process moved the alias while the gates ran.
        UnknownVersion, InvalidValue: as ``examine``.
    """
    found = examine(registry, version, alias, rule, cache)
    if found.findings:
        raise PromotionRefused(found.version, alias, found.findings)
    if found.active != found.version:
        grounds: dict[str, object] = {
            "policy": policy,
            "reports": {name: report.digest for name, report in found.reports.items()},
            "signed": isinstance(rule, ModelRule) and rule.signature is not None,
        }
        _move(registry, PROMOTE, found.version, alias, found.active, actor, reason, grounds)
    return AliasMove(alias=alias, version=found.version, previous=found.active)


def rollback(
    registry: Registry,
    alias: str,
    *,
    to: str | None = None,
    contract: Contract = "when_named",
    actor: str | None = None,
    reason: str = "",
) -> AliasMove:
    """Points ``alias`` back at its previous version, or at ``to``, to which it must have pointed before.

    No gate runs except the contract, which must match the running code. A second rollback goes one version further back.

    Raises:
        UnknownVersion: no such alias or version.
        NothingToRollBackTo: no previous version is known.
        NeverActive: ``alias`` has never pointed to ``to``.
        PromotionRefused: the contract does not match.
        AliasMoved: another process moved the alias meanwhile.
    """
    current = pointed_to(registry, alias)
    if current is None:
        current = registry.resolve(alias)  # raises, listing the existing aliases
    if to is None:
        before = previous_of(registry, alias, current)
        if before is None:
            raise NothingToRollBackTo(alias)
        digest = registry.resolve(before)
    else:
        digest = registry.resolve(to)
        if not _has_been(registry, alias, digest):
            raise NeverActive(digest, alias)
    findings = contract_findings(registry, digest, contract)
    if findings:
        raise PromotionRefused(digest, alias, findings)
    _move(registry, ROLLBACK, digest, alias, current, actor, reason, {})
    return AliasMove(alias=alias, version=digest, previous=current)


def previous_of(registry: Registry, alias: str, version: str) -> str | None:
    """The digest that ``alias`` pointed to before it last moved forward to ``version``; None if unknown.

    Taken from the log, or from the promotion record if the registry was copied without its log.
    """
    moves = [entry for entry in registry.audit() if entry.alias == alias and entry.after == version]
    # Moves of a rollback are skipped: otherwise a second rollback would undo the first.
    forward = [entry for entry in moves if entry.before != version and not entry.reason.startswith(ROLLBACK)]
    if forward:
        return forward[-1].before
    for record in reversed(_records(registry, version, alias)):
        if record.get("action") == PROMOTE:
            before = record.get("previous")
            return before if isinstance(before, str) else None
    return None


def _move(
    registry: Registry,
    action: str,
    version: str,
    alias: str,
    previous: str | None,
    actor: str | None,
    reason: str,
    grounds: dict[str, object],
) -> None:
    """Moves the alias, then attaches the record: it must never describe a move that did not happen."""
    words = f"{action}: {reason}" if reason else action
    entry = registry.move(alias, version, expected=previous, actor=actor, reason=words)
    record: dict[str, object] = {
        "schema": 1,
        "action": action,
        "alias": alias,
        "version": version,
        "previous": previous,
        "actor": entry.actor,
        "reason": reason,
        "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "contract": contract_digests(),
        **grounds,
    }
    registry.attach(version, PROMOTION_TYPE, record)


def _records(registry: Registry, version: str, alias: str) -> list[dict[str, object]]:
    """The promotion records of a version for one alias, oldest first."""
    found = registry.referrers(version, PROMOTION_TYPE)
    records = [parsed_report(one.content, f"promotion record {one.digest}") for one in found]
    return [record for record in records if record.get("alias") == alias]


def _has_been(registry: Registry, alias: str, version: str) -> bool:
    return bool(_records(registry, version, alias)) or any(
        entry.alias == alias and version in (entry.before, entry.after) for entry in registry.audit()
    )
