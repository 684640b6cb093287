"""The command ``vqc-bench swap``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from loadtest.suites.swap import Report

_DIRECTORY = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command()
@click.argument("first", type=_DIRECTORY)
@click.argument("second", type=_DIRECTORY)
@click.option("--engine", type=click.Choice(["managed", "scripted"]), default="managed", show_default=True)
@click.option(
    "--swap",
    type=click.Choice(["auto", "blue_green", "drain"]),
    default="auto",
    show_default=True,
    help="As VQC_SWAP: beside the old model, or after it.",
)
@click.option(
    "--connections",
    type=click.IntRange(2, 256),
    default=4,
    show_default=True,
    help="Requests in flight; one is Stage-A.",
)
@click.option("--rounds", type=click.IntRange(1, 100), default=2, show_default=True, help="Swaps forth and back.")
@click.option(
    "--steady",
    type=click.FloatRange(0.1, 3600),
    default=10.0,
    show_default=True,
    help="Seconds before and after a swap.",
)
@click.option(
    "--max-new-tokens", type=click.IntRange(8, 8192), default=200, show_default=True, help="Most tokens of an answer."
)
@click.option("--json", "as_document", is_flag=True, help="Print one JSON document: a list of rows.")
def swap(
    first: Path,
    second: Path,
    engine: str,
    swap: str,
    connections: int,
    rounds: int,
    steady: float,
    max_new_tokens: int,
    as_document: bool,
) -> None:
    """Replace one checkpoint by another and back under a steady load of captions and Stage-A requests.

    Any error, and any answer that names a model that did not write it, makes the exit code 1.
    """
    from rich.console import Console

    from loadtest.load.photos import jpeg_photos
    from loadtest.loop import run
    from loadtest.suites.swap import Plan, measure

    plan = Plan(
        first=first,
        second=second,
        engine=engine,
        swap=swap,
        connections=connections,
        rounds=rounds,
        steady_s=steady,
        max_new_tokens=max_new_tokens,
    )
    with Console(stderr=True).status("drawing photos") as status:
        report = run(measure(plan, jpeg_photos(6, (512, 384)), status.update))
    _print(report, as_document)
    if report.problem or any(row.foreign for row in report.rows):
        click.echo(f"vqc-bench: {report.problem or 'an answer names a model that did not write it'}", err=True)
        raise click.exceptions.Exit(1)


def _print(report: Report, as_document: bool) -> None:
    from loadtest.report import as_json

    if as_document:
        click.echo(as_json(report.rows))
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, title="a model replaced under load")
    for n, name in enumerate(asdict(report.rows[0])):
        table.add_column(name.replace("_", " "), justify="left" if n < 2 else "right")
    for row in report.rows:
        table.add_row(*("–" if value is None else str(value) for value in asdict(row).values()))
    Console().print(table)
