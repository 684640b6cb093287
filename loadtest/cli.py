"""The command ``vqc-bench``. What is heavy is imported inside functions: ``--help`` is instant."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from loadtest.console_cli import console
from loadtest.counts import Counts
from loadtest.errors import BenchFailed
from loadtest.registry_cli import registry
from loadtest.swap_cli import swap
from vqc.errors import VqcError

if TYPE_CHECKING:
    from loadtest.gateway import Plan, Report


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
    as_document: bool,
) -> None:
    """POST /caption on the scripted engine, without a model: requests/s, CPU per request, p50 and p99.

    Each connection sends its next request when the last answer is complete. Any error makes the exit code 1.
    """
    if url is None and (pid or api_key):
        raise click.UsageError("--pid and --api-key describe the server of --url; give that too")
    from loadtest.gateway import Plan
    from loadtest.wire import Body, Target

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


def _measured(plan: Plan) -> Report:
    """The report, progress on the terminal meanwhile."""
    from rich.console import Console

    from loadtest.gateway import PHOTOS, measure
    from loadtest.loop import run
    from loadtest.photos import jpeg_photos

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


bench.add_command(swap)
bench.add_command(registry)
bench.add_command(console)


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
