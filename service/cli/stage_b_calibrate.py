"""Calibrates the thresholds of a finished run from its last selections."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from service.cli.stage_b_folder import finished_missions, guidance_in_force
from service.guidance.guidance import Guidance
from service.judging.calibration import Calibration, ScoredTicket, calibrate, threshold_effect
from service.judging.records import Part
from service.judging.thresholds import Thresholds
from service.learning.report import render_report
from service.platform.files import read_json, write_text
from vqc.errors import InvalidValue
from vqc.verdict import Verdict

_SAME = ("model", "sampler")
"""What of a run's identity a threshold depends on, besides the guidance."""


def calibrate_run(run: Path, *, budget: float, delta: float, store: Path | None, check: Path | None) -> None:
    """Stores a threshold per mission and renews the report. ``check`` is a run over other tickets: what the thresholds do
    there is printed too.

    Tickets that guidance was learned from say too little of those to come: once reflection has changed the guidance, only
    those of the part ``calibrate`` count.

    Raises:
        InvalidValue: a run that is not complete, a budget that is no share, or a run to check on that was judged otherwise.
    """
    identity: Any = read_json(run / "run.json")
    for folder in finished_missions(run):
        guidance = guidance_in_force(run, folder)
        fresh = _fresh_tickets(check, folder.name, guidance, identity) if check else []
        metrics: Any = read_json(folder / "metrics.json")
        learned = metrics["guidance"]["first"] != metrics["guidance"]["last"]
        tickets = last_tickets(folder, only_calibrate=learned)
        found = calibrate(tickets, budget=budget, delta=delta)
        for root in filter(None, (run, store)):
            Thresholds(root).put(found, guidance, model=identity["model"], sampler=identity["sampler"])
        click.echo(f"{guidance.mission}: {said(found, len(tickets))}")
        if fresh:
            click.echo(f"  {checked(found, fresh)}")
    write_text(run / "report.html", render_report(run))


def last_tickets(folder: Path, *, only_calibrate: bool) -> list[ScoredTicket]:
    """The labelled tickets of the mission's last pass. One without a verdict is never released: it counts as 不通过."""
    lines = [json.loads(line) for line in (folder / "selections.jsonl").read_text("utf-8").splitlines()]
    last = max(line["epoch"] for line in lines)
    results = [line["result"] for line in lines if line["epoch"] == last and line["result"]["label"]]
    return [
        ScoredTicket(
            verdict=Verdict(one["verdict"] or Verdict.FAIL),
            score=one["semantic_advantage"] or 0.0,
            label=Verdict(one["label"]),
        )
        for one in results
        if not only_calibrate or one["part"] == Part.CALIBRATE
    ]


def checked(found: Calibration, tickets: Sequence[ScoredTicket]) -> str:
    """What a threshold does to tickets that it was not found on, in a line."""
    failed = sum(ticket.label is Verdict.FAIL for ticket in tickets)
    false = sum(ticket.label is Verdict.FAIL and ticket.verdict is Verdict.PASS for ticket in tickets)
    point = threshold_effect(found, tickets)
    return (
        f"on {len(tickets)} other tickets, {failed} of them failed: false release {false / max(failed, 1):.3f} without the "
        f"threshold, {point.risk:.3f} with it, coverage {point.coverage:.3f}"
    )


def _fresh_tickets(check: Path, mission: str, guidance: Guidance, identity: Mapping[str, Any]) -> list[ScoredTicket]:
    """The mission's tickets of a run that was judged by the same model, sampler and guidance. Raises ``InvalidValue``."""
    folder = next((one for one in finished_missions(check) if one.name == mission), None)
    if folder is None:
        raise InvalidValue("check", str(check), f"has no tickets of {guidance.mission}")
    other: Any = read_json(check / "run.json")
    there = {**{key: other[key] for key in _SAME}, "guidance": guidance_in_force(check, folder).digest}
    here = {**{key: identity[key] for key in _SAME}, "guidance": guidance.digest}
    if differing := [key for key in here if here[key] != there[key]]:
        raise InvalidValue(
            "check", str(check), f"must be judged as the run was; another {', '.join(differing)} was used"
        )
    return last_tickets(folder, only_calibrate=False)


def said(found: Calibration, tickets: int) -> str:
    """What a calibration found, in a line."""
    base = f"{tickets} tickets, {found.failed} of them failed"
    if found.threshold is None:
        return f"{base}: no threshold keeps false release within {found.budget:g}; every 通过 needs review"
    return (
        f"{base}: 通过 is released from a score of {found.threshold:.3f}; coverage {found.coverage:.3f}, "
        f"false release at most {found.risk_bound:.3f} (budget {found.budget:g}, wrong at most {found.delta:g})"
    )
