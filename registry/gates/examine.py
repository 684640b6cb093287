"""The gates: everything that stands against an alias pointing to a version. Looks, and changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from registry.errors import Corrupt
from registry.gates.findings import Finding
from registry.gates.policy import Contract, ModelRule, Rule
from registry.gates.reports import newest_report, report_of
from registry.gates.signature import unsigned_because
from registry.gates.thresholds import judged
from registry.guidance import guidance_alias, guidance_version, is_guidance
from vqc.contract import contract_digests, same_part
from vqc.errors import InvalidValue

if TYPE_CHECKING:
    from registry.core import Registry
    from registry.values import Referrer


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """What the gates looked at: a version, for an alias that pointed to ``in_force`` then, and the newest reports.

    ``findings`` is everything that stands against it.
    """

    version: str
    alias: str
    in_force: str | None
    reports: dict[str, Referrer]
    findings: tuple[Finding, ...]


def examine(
    registry: Registry, version: str, alias: str, rule: Rule, cache: Path, *, read_files: bool = True
) -> Examined:
    """All gates of ``rule`` for ``alias`` pointing to ``version``; nothing is moved or written.

    ``cache`` is where files are materialised when a signature must be checked. Without ``read_files`` neither the version's
    bytes nor a signature over them are looked at: enough to show how things stand, not to promote.

    Raises:
        UnknownVersion: no such version.
        InvalidValue: a model for an alias of guidance or the reverse; a report or key that cannot be read.
    """
    digest = registry.resolve(version)
    _check_alias(registry, digest, alias)
    in_force = pointed_to(registry, alias)
    findings = _corruption(registry, digest) if read_files else []
    if read_files and not findings and isinstance(rule, ModelRule) and rule.signature is not None:
        why = unsigned_because(registry, digest, registry.materialise(digest, cache), rule.signature.keys)
        if why is not None:
            code = "no_signature_fits" if why else "not_signed"
            findings.append(Finding(gate="signature", code=code, values={"why": why}))
    findings += contract_findings(registry, digest, rule.contract)
    reports = {}
    for name, report_rule in rule.reports.items():
        newest = newest_report(registry, digest, name)
        if newest is not None:
            reports[name] = newest
        held = newest_report(registry, in_force, name) if in_force is not None else None
        report = report_of(newest)
        if report is not None and report.get("version", digest) != digest:
            findings.append(Finding(gate=name, code="other_version", values={"version": str(report["version"])}))
        findings += judged(name, report_rule, report, report_of(held), first=in_force in (None, digest))
    return Examined(version=digest, alias=alias, in_force=in_force, reports=reports, findings=tuple(findings))


def contract_findings(registry: Registry, version: str, contract: Contract = "required") -> list[Finding]:
    """One finding for each part of the contract in which a version (by digest) and the running code differ."""
    running = contract_digests()
    if is_guidance(registry, version):
        named = guidance_version(registry, version).contract
        running = {part: digest for part, digest in running.items() if part in named}
    else:
        named = registry.version(version).contract
    if not named:
        return [] if contract == "when_named" else [Finding(gate="contract", code="no_contract")]
    return [
        Finding(
            gate="contract",
            code="other_contract",
            values={"part": part, "named": _short(named.get(part)), "running": _short(ours)},
        )
        for part, ours in running.items()
        if not same_part(named.get(part), ours)
    ]


def pointed_to(registry: Registry, alias: str) -> str | None:
    """The digest that an alias, of a model or of guidance, points to; None where there is no such alias."""
    return registry.store.aliases().get(alias)


def _check_alias(registry: Registry, digest: str, alias: str) -> None:
    if is_guidance(registry, digest):
        mission = guidance_version(registry, digest).mission
        if alias != guidance_alias(mission):
            raise InvalidValue("to", alias, f"this is guidance of {mission}: promote it to guidance/{mission}")


def _corruption(registry: Registry, digest: str) -> list[Finding]:
    try:
        if is_guidance(registry, digest):
            guidance_version(registry, digest)
        else:
            registry.verify(digest)
    except Corrupt as error:
        return [Finding(gate="bytes", code="corrupt", values={"why": str(error)})]
    return []


def _short(digest: str | None) -> str:
    return f"{digest[:12]}…" if digest else "–"
