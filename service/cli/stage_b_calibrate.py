"""Calibrates the thresholds of a finished run on its last selections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from service.cli.stage_b_folder import finished_missions, last_guidance
from service.guidance.guidance import Guidance
from service.judging.calibration import Calibration, ScoredTicket, calibrate, threshold_effect
from service.judging.records import Part
from service.judging.thresholds import Thresholds
from service.learning.report import render_report
from service.platform.files import read_json, write_text
from vqc.errors import InvalidValue
from vqc.json_lines import read_records
from vqc.verdict import Verdict

_SAME = ("model", "sampler")
"""The parts of a run's identity that a threshold depends on, besides the guidance."""


def calibrate_run(run: Path, *, budget: float, delta: float, store: Path | None, check: Path | None) -> None:
    """Stores a threshold per mission and writes the report again. ``check`` is a run over other tickets, on which the effect
    of the thresholds is printed.

    Raises:
        InvalidValue: the run is not complete, the budget is not a share, or the run to check on was judged differently.
    """
    identity: Any = read_json(run / "run.json")
    for folder in finished_missions(run):
        guidance = last_guidance(folder)
        fresh = _fresh_tickets(check, folder.name, guidance, identity) if check else []
        metrics: Any = read_json(folder / "metrics.json")
        learned = metrics["guidance"]["first"] != metrics["guidance"]["last"]
        # Guidance fits the tickets that it was learned from and gated on: their scores are better than those of new tickets.
        # Once reflection has changed the guidance, only the part that neither of them read is a fair sample.
        tickets = last_tickets(folder, only_calibrate=learned)
        found = calibrate(tickets, budget=budget, delta=delta)
        for root in filter(None, (run, store)):
            Thresholds(root).put(found, guidance, model=identity["model"], sampler=identity["sampler"])
        click.echo(f"{guidance.mission}: {calibration_line(found, len(tickets))}")
        if fresh:
            click.echo(f"  {effect_line(found, fresh)}")
    write_text(run / "report.html", render_report(run))


def last_tickets(folder: Path, *, only_calibrate: bool) -> list[ScoredTicket]:
    """The labelled tickets of the mission's last pass. One without a verdict is never released, so it counts as 不通过."""
    lines = read_records(folder / "selections.jsonl")[0]
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


def effect_line(found: Calibration, tickets: Sequence[ScoredTicket]) -> str:
    """The effect of a threshold on tickets that it was not calibrated on, in one line."""
    failed = sum(ticket.label is Verdict.FAIL for ticket in tickets)
    false = sum(ticket.label is Verdict.FAIL and ticket.verdict is Verdict.PASS for ticket in tickets)
    point = threshold_effect(found, tickets)
    return (
        f"on {len(tickets)} other tickets, {failed} of them failed: false release {false / max(failed, 1):.3f} without the "
        f"threshold, {point.risk:.3f} with it, coverage {point.coverage:.3f}"
    )


def _fresh_tickets(check: Path, mission: str, guidance: Guidance, identity: Mapping[str, Any]) -> list[ScoredTicket]:
    """The mission's tickets of another run with the same model, sampler and guidance. Raises ``InvalidValue``."""
    folder = next((one for one in finished_missions(check) if one.name == mission), None)
    if folder is None:
        raise InvalidValue("check", str(check), f"has no tickets of {guidance.mission}")
    other: Any = read_json(check / "run.json")
    there = {**{key: other[key] for key in _SAME}, "guidance": last_guidance(folder).digest}
    here = {**{key: identity[key] for key in _SAME}, "guidance": guidance.digest}
    if differing := [key for key in here if here[key] != there[key]]:
        raise InvalidValue(
            "check",
            str(check),
            f"must be a run with the same model, sampler and guidance; different: {', '.join(differing)}",
        )
    return last_tickets(folder, only_calibrate=False)


def calibration_line(found: Calibration, tickets: int) -> str:
    """The calibration of a mission in one line."""
    base = f"{tickets} tickets, {found.failed} of them failed"
    if found.threshold is None:
        return f"{base}: no threshold keeps false release within {found.budget:g}; every 通过 needs review"
    return (
        f"{base}: 通过 is released from a score of {found.threshold:.3f}; coverage {found.coverage:.3f}, "
        f"false release at most {found.risk_bound:.3f} (budget {found.budget:g}, error probability at most {found.delta:g})"
    )
