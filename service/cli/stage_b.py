"""``vqc stage-b``: verdicts for tickets. The command group, and the commands of the training-free loop."""

from __future__ import annotations

from pathlib import Path

import click

from service.cli.options import engine_options
from service.cli.submit import submit

_RUN = click.Path(path_type=Path, exists=True, file_okay=False)


@click.group("stage-b")
def stage_b() -> None:
    """Judge tickets: the training-free loop over labelled tickets, thresholds, results."""


@stage_b.command("run")
@click.argument("config", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--output", type=click.Path(path_type=Path, file_okay=False), help="Replaces output.root of the configuration."
)
@click.option("--fresh", is_flag=True, help="Start over: delete the folder of an earlier run first.")
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "logging", "warning", "error"]),
    default="warning",
    show_default=True,
    help="The least severe log line to write; `logging` means info.",
)
@engine_options
def run(config: Path, output: Path | None, fresh: bool, log_level: str, **overrides: object) -> None:
    """Judge the labelled tickets of CONFIG, learn guidance from them, and write artifacts and a report.

    Called again, an interrupted run continues where it stopped.
    """
    from service.cli.stage_b_run import run_loop

    run_loop(
        config, output, fresh=fresh, log_level="info" if log_level == "logging" else log_level, overrides=overrides
    )


@stage_b.command("calibrate")
@click.argument("run", type=_RUN)
@click.option(
    "--budget",
    type=float,
    default=0.05,
    show_default=True,
    help="The largest share of failed tickets to release as 通过.",
)
@click.option(
    "--delta", type=float, default=0.1, show_default=True, help="The probability that the budget is exceeded."
)
@click.option(
    "--store",
    type=click.Path(path_type=Path, file_okay=False),
    help="Also store the thresholds in this guidance store.",
)
@click.option("--check", type=_RUN, help="A finished run over other tickets: print the effect of the thresholds there.")
def calibrate(run: Path, budget: float, delta: float, store: Path | None, check: Path | None) -> None:
    """Calibrate, for each mission of a finished RUN, the score from which a 通过 is released."""
    from service.cli.stage_b_calibrate import calibrate_run

    calibrate_run(run, budget=budget, delta=delta, store=store, check=check)


@stage_b.command("show")
@click.argument("run", type=_RUN)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def show(run: Path, as_json: bool) -> None:
    """Print the metrics of a finished RUN, its guidance and the path of its report."""
    from service.cli.stage_b_show import show_run

    show_run(run, as_json=as_json)


@stage_b.command("approve")
@click.argument("run", type=_RUN)
@click.option("--mission", required=True, help="Exact name of the mission.")
@click.option(
    "--store",
    type=click.Path(path_type=Path, file_okay=False),
    help="The guidance store [default: that of the service, VQC_GUIDANCE_DIR].",
)
@click.option("--by", required=True, help="Your name, for the history of the guidance.")
@click.option("--note", default="", help="The reason, for the history of the guidance.")
def approve(run: Path, mission: str, store: Path | None, by: str, note: str) -> None:
    """Make the guidance that a RUN learned the active one of a guidance store, with its threshold."""
    from service.cli.stage_b_approve import approve_run
    from service.platform.settings import read_settings

    if store is None:
        settings = read_settings()
        store = settings.guidance_root
    approve_run(run, mission, store, by=by, note=note)


@stage_b.command("propose")
@click.argument("run", type=_RUN)
@click.option(
    "--store",
    type=click.Path(path_type=Path, file_okay=False),
    help="The guidance store [default: that of the service, VQC_GUIDANCE_DIR].",
)
@click.option("--by", required=True, help="Your name, shown with the proposal.")
def propose(run: Path, store: Path | None, by: str) -> None:
    """Submit the guidance that a RUN learned for approval in the console. The active guidance does not change."""
    from service.cli.stage_b_propose import propose_run
    from service.platform.settings import read_settings

    propose_run(run, store or read_settings().guidance_root, by=by)


stage_b.add_command(submit)
