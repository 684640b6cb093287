"""Activates the guidance that a run learned in a guidance store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from service.cli.stage_b_folder import finished_missions, last_guidance, mission_of
from service.guidance.store import GuidanceStore
from service.judging.thresholds import Thresholds
from service.platform.files import folder_of, read_json
from vqc.errors import InvalidValue


def approve_run(run: Path, name: str, store: Path, *, by: str, note: str) -> None:
    """Activates the run's guidance of one mission in the store, and stores its threshold if it has one.

    Raises:
        InvalidValue: the run does not have the mission.
        GuidanceConflict: another process has just changed the guidance of the store.
    """
    folder = folder_of(run, name)
    if folder not in finished_missions(run):
        raise InvalidValue(
            "mission", name, f"missions of the run: {', '.join(one.name for one in finished_missions(run))}"
        )
    identity: Any = read_json(run / "run.json")
    guidance, mission = last_guidance(folder), mission_of(identity, name)
    guidance_store = GuidanceStore(store)
    before = guidance_store.active_version(mission)
    guidance_store.approve(mission, guidance, expected=before.digest, by=by, note=note, run=run.name)
    calibration = Thresholds(run).find(guidance, model=identity["model"], sampler=identity["sampler"])
    if calibration:
        Thresholds(store).put(calibration, guidance, model=identity["model"], sampler=identity["sampler"])
    threshold = "with its threshold" if calibration else "not calibrated"
    click.echo(
        f"{name}: {guidance.digest[:16]} (step {guidance.step}) is active, {threshold}; before: {before.digest[:16]}"
    )
