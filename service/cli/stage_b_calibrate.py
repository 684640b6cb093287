"""Calibrates the thresholds of a finished run from its last selections."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from service.adapters.files import read_json, write_text
from service.adapters.stage_b_report import render_report
from service.adapters.thresholds import Thresholds
from service.cli.stage_b_folder import finished_missions, guidance_in_force
from service.domain.stage_b.calibration import Calibration, LabelledTicket, calibrate
from service.domain.stage_b.order import Part
from vqc.verdict import Verdict


def calibrate_run(run: Path, *, budget: float, delta: float, store: Path | None) -> None:
    """Stores a threshold per mission and renews the report.

    Tickets that guidance was learned from say too little of those to come: once reflection has changed the guidance, only
    those of the part ``calibrate`` count.

    Raises:
        InvalidValue: a run that is not complete, or a budget that is no share.
    """
    identity: Any = read_json(run / "run.json")
    for folder in finished_missions(run):
        guidance = guidance_in_force(run, folder)
        metrics: Any = read_json(folder / "metrics.json")
        learned = metrics["guidance"]["first"] != metrics["guidance"]["last"]
        tickets = last_tickets(folder, only_calibrate=learned)
        found = calibrate(tickets, budget=budget, delta=delta)
        for root in filter(None, (run, store)):
            Thresholds(root).put(found, guidance, model=identity["model"], sampler=identity["sampler"])
        click.echo(f"{guidance.mission}: {said(found, len(tickets))}")
    write_text(run / "report.html", render_report(run))


def last_tickets(folder: Path, *, only_calibrate: bool) -> list[LabelledTicket]:
    """The labelled tickets of the mission's last pass. One without a verdict is never released: it counts as 不通过."""
    lines = [json.loads(line) for line in (folder / "selections.jsonl").read_text("utf-8").splitlines()]
    last = max(line["epoch"] for line in lines)
    results = [line["result"] for line in lines if line["epoch"] == last and line["result"]["label"]]
    return [
        LabelledTicket(
            verdict=Verdict(one["verdict"] or Verdict.FAIL),
            score=one["semantic_advantage"] or 0.0,
            label=Verdict(one["label"]),
        )
        for one in results
        if not only_calibrate or one["part"] == Part.CALIBRATE
    ]


def said(found: Calibration, tickets: int) -> str:
    """What a calibration found, in a line."""
    base = f"{tickets} tickets, {found.failed} of them failed"
    if found.threshold is None:
        return f"{base}: no threshold keeps false release within {found.budget:g}; every 通过 needs review"
    return (
        f"{base}: 通过 is released from a score of {found.threshold:.3f}; coverage {found.coverage:.3f}, "
        f"false release at most {found.risk_bound:.3f} (budget {found.budget:g}, wrong at most {found.delta:g})"
    )
