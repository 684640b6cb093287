"""The command ``vqc-bench``. What is heavy is imported inside functions: ``--help`` is instant."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from loadtest.console_cli import console
from loadtest.counts import Counts
from loadtest.drafts_cli import drafts
from loadtest.errors import BenchFailed
from loadtest.growth_cli import growth
from loadtest.load.cli import caption, engine, mixed, stage_a, stage_b
from loadtest.load.pair_cli import dummy, pair
from loadtest.registry_cli import registry
from loadtest.swap_cli import swap
from loadtest.train_cli import train
from vqc.errors import VqcError

if TYPE_CHECKING:
    from loadtest.http.requests import Body
    from loadtest.suites.gateway import Plan, Report


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="vqc")
def bench() -> None:
    """Measure what the product costs and how fast it is."""


@bench.command()
@click.option("--connections", type=Counts(), default="1,16,64,256", show_default=True, help="Levels to measure.")
@click.option(
    "--seconds", type=click.FloatRange(0.1, 3600), default=5.0, show_default=True, help="Time measured per level."
)
@click.option("--width", type=click.IntRange(256, 8192), default=1024, show_default=True, help="Photo width, pixels.")
@click.option("--height", type=click.IntRange(192, 8192), default=768, show_default=True, help="Photo height, pixels.")
@click.option(
    "--body",
    type=click.Choice(["multipart", "json"]),
    default="multipart",
    show_default=True,
    help="How the photo is sent; json is base64.",
)
@click.option("--url", metavar="URL", help="Measure this running server instead of starting one.")
@click.option("--pid", type=click.IntRange(1), help="Process of --url's server, for its CPU and memory.")
@click.option("--api-key", metavar="KEY", help="Key for --url's server.")
@click.option(
    "--against",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Another checkout of this project (git worktree add): both are measured in turns, and compared.",
)
@click.option("--rounds", type=click.IntRange(1, 100), default=5, show_default=True, help="Pairs, with --against.")
@click.option(
    "--stub", is_flag=True, help="With --against: a stand-in for vLLM over HTTP instead of the scripted engine."
)
@click.option("--json", "as_document", is_flag=True, help="Print one JSON document: a list of rows.")
def gateway(
    connections: tuple[int, ...],
    seconds: float,
    width: int,
    height: int,
    body: str,
    url: str | None,
    pid: int | None,
    api_key: str | None,
    against: Path | None,
    rounds: int,
    stub: bool,
    as_document: bool,
) -> None:
    """POST /caption on the scripted engine, without a model: requests/s, CPU per request, p50 and p99.

    Each connection sends its next request when the last answer is complete. Any error makes the exit code 1.
    """
    if url is None and (pid or api_key):
        raise click.UsageError("--pid and --api-key describe the server of --url; give that too")
    if stub and against is None:
        raise click.UsageError("--stub compares two checkouts; give --against too")
    from loadtest.http.requests import Body, Target
    from loadtest.suites.gateway import Plan

    if against is not None:
        _compare(against, connections, seconds, rounds, Body(body), stub, (width, height), as_document)
        return
    plan = Plan(
        connections=connections,
        seconds=seconds,
        size_wh=(width, height),
        body=Body(body),
        target=Target.from_url(url, api_key) if url else None,
        pid=pid,
    )
    report = _measured(plan)
    _print(report, as_document)
    if report.problem:
        click.echo(f"vqc-bench: {sum(row.errors for row in report.rows)} errors, the first: {report.problem}", err=True)
        raise click.exceptions.Exit(1)


def _compare(
    tree: Path,
    connections: tuple[int, ...],
    seconds: float,
    rounds: int,
    body: Body,
    stub: bool,
    size_wh: tuple[int, int],
    as_document: bool,
) -> None:
    from rich.console import Console

    from loadtest.against import PairPlan, compare
    from loadtest.load.photos import jpeg_photos
    from loadtest.loop import run
    from loadtest.report import as_json, pair_table
    from loadtest.suites.gateway import PHOTOS

    plan = PairPlan(tree=tree, connections=connections, seconds=seconds, rounds=rounds, body=body, stub=stub)
    with Console(stderr=True).status("starting both") as status:
        rows = run(compare(plan, jpeg_photos(PHOTOS, size_wh), status.update))
    if as_document:
        click.echo(as_json(rows))
    else:
        Console().print(pair_table(rows))
    if any(row.errors for row in rows):
        click.echo(f"vqc-bench: {sum(row.errors for row in rows)} errors", err=True)
        raise click.exceptions.Exit(1)


def _measured(plan: Plan) -> Report:
    """The report, progress on the terminal meanwhile."""
    from rich.console import Console

    from loadtest.load.photos import jpeg_photos
    from loadtest.loop import run
    from loadtest.suites.gateway import PHOTOS, measure

    with Console(stderr=True).status("drawing photos") as status:
        photos = jpeg_photos(PHOTOS, plan.size_wh)
        status.update("starting the API")

        def starting(connections: int) -> None:
            status.update(f"{connections} connections, {plan.seconds:g} s")

        return run(measure(plan, photos, starting))


def _print(report: Report, as_document: bool) -> None:
    from loadtest.report import as_json, table

    if as_document:
        click.echo(as_json(report.rows))
    else:
        from rich.console import Console

        Console().print(table(report))


for command in (caption, stage_a, stage_b, mixed, engine, pair, drafts, dummy, growth, train, swap, registry, console):
    bench.add_command(command)


def main(args: Sequence[str] | None = None) -> None:
    """Runs the command. Exit code 1: errors or no measurement; 2: wrong usage; 130, 143: interrupted, terminated."""
    try:
        sys.exit(bench.main(args, prog_name="vqc-bench", standalone_mode=False))
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except VqcError as error:
        click.echo(f"vqc-bench: {error}", err=True)
        sys.exit(1 if isinstance(error, BenchFailed) else 2)
