"""``vqc-bench console``."""

from __future__ import annotations

import click

from loadtest.counts import Counts


@click.command()
@click.option(
    "--tickets", "sizes", type=Counts(), default="500,5000", show_default=True, help="Tickets that wait, at each level."
)
@click.option("--requests", type=click.IntRange(2, 10_000), default=100, show_default=True, help="Per page and level.")
@click.option("--json", "as_document", is_flag=True, help="Print one JSON document: a list of rows.")
def console(sizes: tuple[int, ...], requests: int, as_document: bool) -> None:
    """Pages of the review console as the queue grows: CPU, p50 and p99 of one request after the other, in milliseconds."""
    from rich.console import Console

    from loadtest.loop import run
    from loadtest.report import as_json
    from loadtest.suites.console import measure

    with Console(stderr=True).status("starting the service") as status:
        rows = run(measure(sizes, requests, status.update))
    if as_document:
        click.echo(as_json(rows))
        return
    from rich.table import Table

    table = Table("waiting", "page", "CPU ms", "p50 ms", "p99 ms")
    for row in rows:
        table.add_row(f"{row.waiting:,}", row.page, f"{row.cpu_ms:.1f}", f"{row.p50_ms:.1f}", f"{row.p99_ms:.1f}")
    Console().print(table)
