"""The command ``vqc-bench growth``."""

from __future__ import annotations

import os

import click


@click.command()
@click.option("--size", type=click.IntRange(10, 100_000), default=300, show_default=True, help="Tickets that are few.")
@click.option(
    "--times", type=click.IntRange(2, 100), default=10, show_default=True, help="So many times as many are many."
)
@click.option(
    "--seconds", type=click.FloatRange(0.2, 600), default=8.0, show_default=True, help="Of each number of clients."
)
@click.option("--json", "as_document", is_flag=True, help="Print one JSON document: a list of rows.")
def growth(size: int, times: int, seconds: float, as_document: bool) -> None:
    """What a request costs the processor with ten times the clients, stored tickets and queued tickets."""
    from rich.console import Console

    from loadtest.loop import run
    from loadtest.report import as_json
    from loadtest.suites.growth import measure

    with Console(stderr=True).status("drawing photos") as status:
        rows = run(measure(size, times, seconds, os.urandom(4).hex(), status.update))
    if as_document:
        click.echo(as_json(rows))
        return
    for row in rows:
        click.echo(
            f"{row.what}: {row.little_cpu_ms} ms a request with {row.little}, {row.much_cpu_ms} with {row.much}: "
            f"{row.growth} times"
        )
