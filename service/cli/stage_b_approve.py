"""Puts what a run has learned in force where the service reads it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from service.cli.stage_b_folder import finished_missions, guidance_in_force, mission_of
from service.guidance.store import GuidanceStore
from service.judging.thresholds import Thresholds
from service.platform.files import folder_of, read_json
from vqc.errors import InvalidValue


def approve_run(run: Path, name: str, store: Path, *, by: str, note: str) -> None:
    """Approves the run's guidance of one mission in the store, and stores its threshold if it has one.

    Raises:
        InvalidValue: a mission that the run does not have.
        GuidanceConflict: the store's guidance was changed meanwhile.
    """
    folder = folder_of(run, name)
    if folder not in finished_missions(run):
        raise InvalidValue(
            "mission", name, f"missions of the run: {', '.join(one.name for one in finished_missions(run))}"
        )
    identity: Any = read_json(run / "run.json")
    guidance, mission = guidance_in_force(run, folder), mission_of(identity, name)
    kept = GuidanceStore(store)
    before = kept.in_force(mission)
    kept.approve(mission, guidance, expected=before.digest, by=by, note=note, run=run.name)
    calibration = Thresholds(run).find(guidance, model=identity["model"], sampler=identity["sampler"])
    if calibration:
        Thresholds(store).put(calibration, guidance, model=identity["model"], sampler=identity["sampler"])
    threshold = "with its threshold" if calibration else "not calibrated"
    click.echo(
        f"{name}: {guidance.digest[:16]} (step {guidance.step}) is in force, {threshold}; before: {before.digest[:16]}"
    )
