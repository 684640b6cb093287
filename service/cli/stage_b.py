"""``vqc stage-b``: verdicts for tickets. The group, and the training-free loop's commands."""

from __future__ import annotations

from pathlib import Path

import click

from service.cli.options import engine_options
from service.cli.submit import submit

_RUN = click.Path(path_type=Path, exists=True, file_okay=False)


@click.group("stage-b")
def stage_b() -> None:
    """Judge tickets: the training-free loop over labelled ones, thresholds, results."""


@stage_b.command("run")
@click.argument("config", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--output", type=click.Path(path_type=Path, file_okay=False), help="Instead of the configuration's output.root."
)
@click.option("--fresh", is_flag=True, help="Start over: delete what an earlier run left in the run's folder.")
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "logging", "warning", "error"]),
    default="warning",
    show_default=True,
    help="Least severe log line written; `logging` is another name of info.",
)
@engine_options
def run(config: Path, output: Path | None, fresh: bool, log_level: str, **overrides: object) -> None:
    """Judge the labelled tickets that CONFIG names, learn guidance from them, write artifacts and a report.

    An interrupted run goes on where it was when called again.
    """
    from service.cli.stage_b_run import run_loop

    run_loop(
        config, output, fresh=fresh, log_level="info" if log_level == "logging" else log_level, overrides=overrides
    )


@stage_b.command("calibrate")
@click.argument("run", type=_RUN)
@click.option(
    "--budget", type=float, default=0.05, show_default=True, help="Most of the failed tickets released as 通过."
)
@click.option(
    "--delta", type=float, default=0.1, show_default=True, help="Chance that the budget is exceeded after all."
)
@click.option(
    "--store", type=click.Path(path_type=Path, file_okay=False), help="Store the thresholds in this guidance store too."
)
@click.option("--check", type=_RUN, help="A finished run over other tickets: print what the thresholds do there.")
def calibrate(run: Path, budget: float, delta: float, store: Path | None, check: Path | None) -> None:
    """Find, for each mission of a finished RUN, the score from which a 通过 is released."""
    from service.cli.stage_b_calibrate import calibrate_run

    calibrate_run(run, budget=budget, delta=delta, store=store, check=check)


@stage_b.command("show")
@click.argument("run", type=_RUN)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def show(run: Path, as_json: bool) -> None:
    """Print what a RUN's tickets came to, its guidance and where the report is."""
    from service.cli.stage_b_show import show_run

    show_run(run, as_json=as_json)


@stage_b.command("approve")
@click.argument("run", type=_RUN)
@click.option("--mission", required=True, help="Exact name of the mission.")
@click.option(
    "--store",
    type=click.Path(path_type=Path, file_okay=False),
    help="A guidance store; default: the service's own [VQC_GUIDANCE_DIR].",
)
@click.option("--by", required=True, help="Who approves; kept in the store's history.")
@click.option("--note", default="", help="Why.")
def approve(run: Path, mission: str, store: Path | None, by: str, note: str) -> None:
    """Put the guidance that a RUN ended with in force where the service reads it, with its thresholds."""
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
    help="A guidance store; default: the service's own [VQC_GUIDANCE_DIR].",
)
@click.option("--by", required=True, help="Who proposes; shown beside the proposal.")
def propose(run: Path, store: Path | None, by: str) -> None:
    """Lay what a RUN has learned before whoever approves it, in the console; nothing comes into force by this."""
    from service.cli.stage_b_propose import propose_run
    from service.platform.settings import read_settings

    propose_run(run, store or read_settings().guidance_root, by=by)


stage_b.add_command(submit)
