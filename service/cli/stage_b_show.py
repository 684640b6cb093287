"""Prints the results of a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from service.cli.stage_b_folder import finished_missions
from service.learning.metrics import headline
from service.platform.files import read_json


def show_run(run: Path, *, as_json: bool) -> None:
    """Prints the metrics of a run's last passes. Raises ``InvalidValue`` if the run is not complete."""
    found: dict[str, Any] = {}
    for folder in finished_missions(run):
        metrics: Any = read_json(folder / "metrics.json")
        found[metrics["mission"]] = metrics
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False, indent=2))
        return
    for name, metrics in found.items():
        last, guidance = metrics["epochs"][-1], metrics["guidance"]
        click.echo(f"{name}: {headline(last)}")
        click.echo(f"  guidance {guidance['last'][:16]} (step {last['guidance_step']}), pass {last['epoch']}")
        for change in guidance["changes"]:
            click.echo(f"  {change['id']}: {change['before'] or '(none)'} -> {change['after'] or '(removed)'}")
    click.echo(f"report: {run / 'report.html'}")
