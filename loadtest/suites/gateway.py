"""``vqc-bench gateway``: the cost of ``POST /caption`` without a model, as concurrency grows; and against another checkout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from loadtest.counts import Counts
from loadtest.http.requests import Body, Target
from loadtest.report import as_json, cell, table
from loadtest.suites.gateway_rows import GatewayPlan, GatewayReport, GatewayRow, TreeRow
from vqc.geometry import SizeWH

if TYPE_CHECKING:
    from rich.table import Table

PHOTOS = 12
"""Distinct photos in rotation, so that a cache of one photo gives no advantage."""

_COLUMNS = {
    "connections": "conns",
    "requests_per_s": "req/s",
    "cpu_ms_per_request": "CPU ms",
    "p50_ms": "p50 ms",
    "p99_ms": "p99 ms",
    "errors": "errors",
    "server_cores": "cores",
    "client_cores": "client",
    "answers_so_far": "answers",
    "peak_rss_mb": "RSS MB",
}
_LEGEND = "cores: CPU seconds per second of the server; client: of this load generator"


@click.command()
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
@click.option("--pid", type=click.IntRange(1), help="Process id of --url's server, for its CPU and memory.")
@click.option("--api-key", metavar="KEY", help="Key for --url's server.")
@click.option(
    "--against",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Another checkout of this project (git worktree add): both are measured alternately and compared.",
)
@click.option("--rounds", type=click.IntRange(1, 100), default=5, show_default=True, help="Pairs, with --against.")
@click.option("--stub", is_flag=True, help="With --against: a stub of vLLM over HTTP instead of the scripted engine.")
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
    if against is not None:
        _compare(against, connections, seconds, rounds, Body(body), stub, (width, height), as_document)
        return
    target = Target.from_url(url, api_key) if url else None
    plan = GatewayPlan(connections=connections, seconds=seconds, body=Body(body), target=target, pid=pid)
    _measure(plan, (width, height), as_document)


def _measure(plan: GatewayPlan, size_wh: SizeWH, as_document: bool) -> None:
    from rich.console import Console

    from loadtest.load.photos import jpeg_photos
    from loadtest.loop import run
    from loadtest.suites import gateway_load

    with Console(stderr=True).status("drawing photos") as status:
        photos = jpeg_photos(PHOTOS, size_wh)
        status.update("starting the API")
        report = run(gateway_load.measure(plan, photos, status.update))
    if as_document:
        click.echo(as_json(report.rows))
    else:
        Console().print(report_table(report, photos))
    if report.problem:
        errors = sum(row.errors for row in report.rows)
        click.echo(f"vqc-bench: {errors} errors, the first: {report.problem}", err=True)
        raise click.exceptions.Exit(1)


def _compare(
    tree: Path,
    connections: tuple[int, ...],
    seconds: float,
    rounds: int,
    body: Body,
    stub: bool,
    size_wh: SizeWH,
    as_document: bool,
) -> None:
    from rich.console import Console

    from loadtest.load.photos import jpeg_photos
    from loadtest.loop import run
    from loadtest.suites import gateway_load

    plan = gateway_load.tree_plan(connections, seconds, rounds)
    with Console(stderr=True).status("starting both APIs") as status:
        photos = jpeg_photos(PHOTOS, size_wh)
        rows = run(gateway_load.compare_trees(tree, plan, photos, body, stub=stub, progress=status.update))
    if as_document:
        click.echo(as_json(rows))
    else:
        Console().print(tree_table(rows))
    if errors := sum(row.errors for row in rows):
        click.echo(f"vqc-bench: {errors} errors", err=True)
        raise click.exceptions.Exit(1)


def report_table(report: GatewayReport, photos: Sequence[bytes]) -> Table:
    """The rows for a terminal; a dash where nothing was measured."""
    sizes = [len(photo) // 1000 for photo in photos]
    result = table(
        [*_COLUMNS.values()],
        title=f"POST /caption, photos of {min(sizes)} to {max(sizes)} KB",
        caption="\n".join(filter(None, [_LEGEND, cpu_growth(report.rows)])),
    )
    for row in report.rows:
        values = asdict(row)
        result.add_row(*(cell(values[name]) for name in _COLUMNS))
    return result


def tree_table(rows: Sequence[TreeRow]) -> Table:
    """This checkout against another, for a terminal."""
    result = table(
        ["conns", "pairs", "CPU ms", "other", "CPU ratio", "lowest", "highest", "rate ratio", "errors"],
        title="this tree ÷ the other",
        caption="CPU ms per request and ratios are medians over the pairs; below 1 (CPU) and above 1 (rate) is better",
    )
    for row in rows:
        values = (row.connections, row.pairs, row.ours_cpu_ms, row.theirs_cpu_ms, row.cpu_ratio, *row.spread)
        result.add_row(*(cell(value) for value in (*values, row.rate_ratio, row.errors)))
    return result


def cpu_growth(rows: Sequence[GatewayRow]) -> str | None:
    """How the CPU time of a request grows from the fewest to the most connections; None if that was not measured."""
    measured = sorted((row.connections, row.cpu_ms_per_request) for row in rows if row.cpu_ms_per_request)
    if len(measured) < 2:
        return None
    (fewest, first), (most, last) = measured[0], measured[-1]
    return f"CPU per request at {most} connections is {last / first:.2f} times that at {fewest}"
