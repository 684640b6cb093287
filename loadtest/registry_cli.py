"""``vqc-bench registry``."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from loadtest.suites.registry import Row


@click.command()
@click.option("--gib", type=click.FloatRange(0.001, 1000), default=8.0, show_default=True, help="Size of the model.")
@click.option("--rounds", type=click.IntRange(1, 20), default=2, show_default=True, help="Pairs of each step.")
@click.option(
    "--checksum",
    type=click.Choice(["sha256sum", "openssl"]),
    default="sha256sum",
    show_default=True,
    help="What cp is followed by; openssl uses the processor's SHA instructions, Debian 12's sha256sum does not.",
)
@click.option("--cold", is_flag=True, help="Empty the page cache before each measurement (root).")
@click.option(
    "--work",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path("/tmp"),
    show_default=True,
    help="Where the files go; cleaned afterwards.",
)
@click.option("--json", "as_document", is_flag=True, help="Print one JSON document: a list of rows.")
def registry(gib: float, rounds: int, checksum: str, cold: bool, work: Path, as_document: bool) -> None:
    """Push and pull a model of random weights against cp and a checksum of the same files."""
    from rich.console import Console

    from loadtest.suites.registry import measure

    with Console(stderr=True).status("starting") as status:
        rows = list(measure(work, gib=gib, rounds=rounds, checksum=checksum, cold=cold, starting=status.update))
    if as_document:
        click.echo(json.dumps([as_values(row) for row in rows], indent=2))
        return
    from rich.table import Table

    table = Table("step", "cp s", "sync s", f"{checksum} s", "ours s", "ratio", "with sync", "peak RSS MB")
    for row in rows:
        seconds = (row.cp_s, row.sync_s, row.checksum_s, row.ours_s, row.ratio, row.durable_ratio)
        table.add_row(row.step, *(f"{value:.2f}" for value in seconds), f"{row.ours_peak_rss_mb:.0f}")
    Console().print(table)


def as_values(row: Row) -> dict[str, object]:
    """A row for ``--json``."""
    return {**asdict(row), "ratio": row.ratio, "durable_ratio": row.durable_ratio}
