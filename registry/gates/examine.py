"""Runs the gates of an alias against a version. Read-only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from registry.errors import Corrupt
from registry.gates.findings import Finding
from registry.gates.policy import Contract, ModelRule, Rule
from registry.gates.reports import newest_report, report_of
from registry.gates.signature import signature_problem
from registry.gates.thresholds import check_report
from registry.guidance import guidance_alias, guidance_version, is_guidance
from registry.inspections import inspections_with, is_inspection
from vqc.contract import contract_digests, current_form, differing_parts, same_part
from vqc.errors import InvalidValue
from vqc.missions import active, using

if TYPE_CHECKING:
    from registry.core import Registry
    from registry.values import Referrer


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """The result of the gates: the version, the alias's current target (``active``), and the newest reports.

    ``findings`` lists every failure.
    """

    version: str
    alias: str
    active: str | None
    reports: dict[str, Referrer]
    findings: tuple[Finding, ...]


def examine(
    registry: Registry, version: str, alias: str, rule: Rule, cache: Path, *, read_files: bool = True
) -> Examination:
    """Runs all gates of ``rule`` for pointing ``alias`` at ``version``; changes nothing.

    ``cache`` holds the files that a signature check materialises. Without ``read_files`` neither the version's bytes nor a
    signature over them are checked: enough for a preview, not for a promotion.

    Raises:
        UnknownVersion: no such version.
        InvalidValue: a model for a guidance alias or vice versa; an unreadable report or key.
    """
    digest = registry.resolve(version)
    _check_alias(registry, digest, alias)
    active = pointed_to(registry, alias)
    findings = _corruption(registry, digest) if read_files else []
    if read_files and not findings and isinstance(rule, ModelRule) and rule.signature is not None:
        why = signature_problem(registry, digest, registry.materialise(digest, cache), rule.signature.keys)
        if why is not None:
            code = "no_signature_fits" if why else "not_signed"
            findings.append(Finding(gate="signature", code=code, values={"why": why}))
    findings += contract_findings(registry, digest, rule.contract)
    reports = {}
    for name, report_rule in rule.reports.items():
        newest = newest_report(registry, digest, name)
        if newest is not None:
            reports[name] = newest
        held = newest_report(registry, active, name) if active is not None else None
        report = report_of(newest)
        if report is not None and report.get("version", digest) != digest:
            findings.append(Finding(gate=name, code="other_version", values={"version": str(report["version"])}))
        findings += check_report(name, report_rule, report, report_of(held), first=active in (None, digest))
    return Examination(version=digest, alias=alias, active=active, reports=reports, findings=tuple(findings))


def contract_findings(registry: Registry, version: str, contract: Contract = "required") -> list[Finding]:
    """One finding for each part of the contract in which a version (by digest) differs from the running code.

    A model is compared under the inspections that it is served with.
    """
    if is_inspection(registry, version):
        return []  # a model's contract names its inspection, not the other way round
    if is_guidance(registry, version):
        running, declared = contract_digests(), current_form(guidance_version(registry, version).contract)
        differing = [part for part, value in declared.items() if not same_part(value, running.get(part))]
    else:
        with using(inspections_with(registry, version, active())):
            running, declared = contract_digests(), current_form(registry.version(version).contract)
            differing = differing_parts(declared)
    if not declared:
        return [] if contract == "when_named" else [Finding(gate="contract", code="no_contract")]
    return [
        Finding(
            gate="contract",
            code="other_contract",
            values={"part": part, "named": _short(declared.get(part)), "running": _short(running.get(part))},
        )
        for part in differing
    ]


def pointed_to(registry: Registry, alias: str) -> str | None:
    """The digest that an alias, of a model or of guidance, points to; None if the alias does not exist."""
    return registry.store.aliases().get(alias)


def _check_alias(registry: Registry, digest: str, alias: str) -> None:
    if is_guidance(registry, digest):
        mission = guidance_version(registry, digest).mission
        if alias != guidance_alias(mission):
            raise InvalidValue("to", alias, f"this version is guidance of {mission}; promote it to guidance/{mission}")


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
