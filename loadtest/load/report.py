"""A load report as a table for people or JSON for programs."""

from __future__ import annotations

import json

import click

from loadtest.load.outcome import Figures
from loadtest.load.search import LoadReport, Step

_KIND = {
    "label": "request",
    "requests": "sent",
    "errors": "errors",
    "malformed": "unread",
    "per_s": "answers/s",
    "tokens_per_s": "tokens/s",
    "p50_ms": "p50 ms",
    "p95_ms": "p95 ms",
    "p99_ms": "p99 ms",
    "first_p50_ms": "1st p50",
    "first_p95_ms": "1st p95",
    "lag_p99_ms": "lag p99",
}
_LEGEND = (
    "Times count from when a request was due. 1st: the first object of a stream. lag: how late the generator sent.\n"
    "unread: texts of the model that do not parse. CPU ms per answer, cores and RSS (MB, at the end) are the server's."
)


def print_report(report: LoadReport, *, as_document: bool) -> None:
    """Writes the report to the standard output."""
    if as_document:
        click.echo(json.dumps(report.document(), indent=2, ensure_ascii=False))
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 0, 0, 1), caption=_LEGEND)
    for n, heading in enumerate(["rate", *_KIND.values(), "CPU ms", "cores", "RSS", "SLO"]):
        table.add_column(heading, justify="left" if n == 1 else "right", no_wrap=True)
    for step in report.steps:
        for n, kind in enumerate(step.kinds):
            table.add_row(
                f"{step.rate_per_s:g}" if n == 0 else "", *_cells(kind), *(_of_step(step) if n == 0 else [""] * 4)
            )
    console = Console()
    console.width = max(console.width, 150)  # a row broken in two cannot be compared
    console.print(table)
    if report.scenario.find:
        best = report.highest_met_per_s
        console.print("no rate meets the SLO" if best is None else f"meets the SLO up to {best:g} requests a second")


def _cells(kind: Figures) -> list[str]:
    return [_shown(getattr(kind, name)) for name in _KIND]


def _of_step(step: Step) -> list[str]:
    slo = "–" if step.met is None else "met" if step.met else "missed"
    return [_shown(step.cpu_ms), _shown(step.cores), _shown(step.rss_mb), slo]


def _shown(value: float | str | None) -> str:
    if value is None:
        return "–"
    return value if isinstance(value, str) else f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"
