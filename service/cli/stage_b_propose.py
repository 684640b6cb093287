"""Submits what a run learned for approval: a pending proposal in the guidance store of the service."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from pydantic import TypeAdapter

from service.cli.stage_b_folder import finished_missions, last_guidance, mission_of
from service.guidance.guidance import Guidance
from service.guidance.proposal import EvidenceTicket, GuidanceProposal, Reflected
from service.guidance.proposal_store import ProposalStore
from service.guidance.store import GuidanceStore
from service.judging.thresholds import Thresholds
from service.platform.files import folder_of, read_json
from vqc.json_lines import read_records
from vqc.missions import Mission
from vqc.verdict import Verdict


def propose_run(run: Path, store: Path, *, by: str) -> None:
    """Proposes the guidance of every mission whose rules the run has changed, and prints a line for each mission.

    Raises:
        InvalidValue: not the folder of a finished run, or its first version is no longer kept.
        ProposalDecided: the same version has already been approved or rejected.
    """
    identity: Any = read_json(run / "run.json")
    for folder in finished_missions(run):
        mission, after = mission_of(identity, folder.name), last_guidance(folder)
        reflections = _reflections(folder)
        if after.digest == identity["guidance"][mission.name]:
            rejected = sum(not one.applied for one in reflections)
            click.echo(f"{mission.name}: nothing to propose; {rejected} reflections, none passed the gate")
            continue
        proposal = _proposal(run, mission, identity["guidance"][mission.name], after, reflections, by)
        if ProposalStore(store).put(mission, proposal):
            for version in _versions_since_base(run, mission, proposal):
                GuidanceStore(store).propose(mission, version, by=by, run=run.name)
        calibration = Thresholds(run).find(after, model=identity["model"], sampler=identity["sampler"])
        if calibration:
            Thresholds(store).put(calibration, after, model=identity["model"], sampler=identity["sampler"])
        click.echo(f"{mission.name}: proposed {proposal.id} (step {after.step}) to {store}")


def _proposal(
    run: Path, mission: Mission, base: str, after: Guidance, reflections: tuple[Reflected, ...], by: str
) -> GuidanceProposal:
    return GuidanceProposal(
        guidance=after,
        base=GuidanceStore(run).version(mission, base),
        run=run.name,
        by=by,
        at=datetime.now(UTC).isoformat(),
        reflections=reflections,
        tickets=_tickets(folder_of(run, mission.name), reflections),
    )


def _versions_since_base(run: Path, mission: Mission, proposal: GuidanceProposal) -> list[Guidance]:
    """The versions from the base to the proposed one, so that the store can show what each of them changed."""
    kept = {one.digest: one for one in GuidanceStore(run).versions(mission)}
    chain, digest = [], proposal.guidance.digest
    while digest in kept and digest != proposal.base.digest:
        chain.append(kept[digest])
        digest = kept[digest].parent
    return chain[::-1]


def _reflections(folder: Path) -> tuple[Reflected, ...]:
    """The reflections of the run that proposed an operation."""
    found = [line["reflection"] for line in _lines(folder / "reflections.jsonl")]
    return tuple(
        TypeAdapter(Reflected).validate_python(
            {
                "reflection_id": one["reflection_id"],
                "operations": one["operations"],
                "effect": one["gate"],
                "applied": one["applied"],
                "reasons": one["reasons"],
            }
        )
        for one in found
        if one["operations"]
    )


def _tickets(folder: Path, reflections: tuple[Reflected, ...]) -> tuple[EvidenceTicket, ...]:
    """The tickets that applied operations name as evidence, as the first pass of the run judged them."""
    named = {
        ticket for one in reflections if one.applied for operation in one.operations for ticket in operation.evidence
    }
    first = {line["group_id"]: line["result"] for line in _lines(folder / "selections.jsonl") if line["epoch"] == 1}
    return tuple(_ticket(group_id, first[group_id]) for group_id in sorted(named & first.keys()))


def _ticket(group_id: str, result: dict[str, Any]) -> EvidenceTicket:
    label, verdict = result["label"], result["verdict"]
    return EvidenceTicket(
        group_id=group_id,
        label=label and Verdict(label),
        verdict=verdict and Verdict(verdict),
        reason=result["reason"],
    )


def _lines(path: Path) -> list[Any]:
    return read_records(path)[0]
