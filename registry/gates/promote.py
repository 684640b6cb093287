"""Promotion: an alias goes to a version that passed every gate, and comes back to one that passed them before.

The alias moves by compare-and-swap from the version that the gates compared with: whoever moved it meanwhile wins. What was
decided, and on what grounds, is attached to the version as a promotion record; the registry's log has the move.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from registry.gates.errors import NeverInForce, NothingToRollBackTo, PromotionRefused
from registry.gates.examine import contract_findings, examine, pointed_to
from registry.gates.policy import Contract, ModelRule, Rule
from registry.gates.reports import PROMOTION_TYPE, parsed_report
from vqc.contract import contract_digests

if TYPE_CHECKING:
    from registry.core import Registry


PROMOTE = "promote"
ROLLBACK = "rollback"
"""How promotion records, and the reasons in the log, name what was done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """An alias that was moved: to ``version``, from ``previous`` (None: it did not exist)."""

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
) -> Moved:
    """Points ``alias`` at ``version`` if nothing stands against it; ``policy`` is the policy file's digest, for the record.

    Raises:
        PromotionRefused: everything that stands against it.
        AliasMoved: somebody moved the alias while the gates were looking.
        UnknownVersion, InvalidValue: as ``examine``.
    """
    found = examine(registry, version, alias, rule, cache)
    if found.findings:
        raise PromotionRefused(found.version, alias, found.findings)
    if found.in_force != found.version:
        grounds: dict[str, object] = {
            "policy": policy,
            "reports": {name: report.digest for name, report in found.reports.items()},
            "signed": isinstance(rule, ModelRule) and rule.signature is not None,
        }
        _move(registry, PROMOTE, found.version, alias, found.in_force, actor, reason, grounds)
    return Moved(alias=alias, version=found.version, previous=found.in_force)


def rollback(
    registry: Registry,
    alias: str,
    *,
    to: str | None = None,
    contract: Contract = "when_named",
    actor: str | None = None,
    reason: str = "",
) -> Moved:
    """Points ``alias`` back at the version before, or at ``to``, which it has pointed to at some time.

    Gates do not run again, except that the version's contract must be the running code's. A second rollback goes one
    version further back.

    Raises:
        UnknownVersion: no such alias or version.
        NothingToRollBackTo: no version before is known.
        NeverInForce: ``to`` has never had the alias.
        PromotionRefused: its contract is another one.
        AliasMoved: somebody moved the alias meanwhile.
    """
    current = pointed_to(registry, alias)
    if current is None:
        current = registry.resolve(alias)  # raises, naming the aliases that there are
    if to is None:
        before = previous_of(registry, alias, current)
        if before is None:
            raise NothingToRollBackTo(alias)
        digest = registry.resolve(before)
    else:
        digest = registry.resolve(to)
        if not _has_been(registry, alias, digest):
            raise NeverInForce(digest, alias)
    findings = contract_findings(registry, digest, contract)
    if findings:
        raise PromotionRefused(digest, alias, findings)
    _move(registry, ROLLBACK, digest, alias, current, actor, reason, {})
    return Moved(alias=alias, version=digest, previous=current)


def previous_of(registry: Registry, alias: str, version: str) -> str | None:
    """The digest that ``alias`` pointed to before it last went forward to ``version``; None where nobody knows.

    The log says it; where a registry was copied without its log, the promotion record.
    """
    moves = [entry for entry in registry.audit() if entry.alias == alias and entry.after == version]
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
    """Moves the alias, then attaches the record: one of a move that never was would be a lie."""
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
    """Promotion records of a version for one alias, oldest first."""
    found = registry.referrers(version, PROMOTION_TYPE)
    records = [parsed_report(one.content, f"promotion record {one.digest}") for one in found]
    return [record for record in records if record.get("alias") == alias]


def _has_been(registry: Registry, alias: str, version: str) -> bool:
    return bool(_records(registry, version, alias)) or any(
        entry.alias == alias and version in (entry.before, entry.after) for entry in registry.audit()
    )
