"""A load report as a table for people or JSON for programs."""

from __future__ import annotations

import json

import click

from loadtest.load.outcome import Figures
from loadtest.load.search import LoadReport, LoadStep
from loadtest.report import cell, table

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
    "Latencies count from the due time. 1st: the first object of a stream. lag: how late the generator sent.\n"
    "unread: texts of the model that do not parse. CPU ms per answer, cores and RSS (MB, at the end) are of the server."
)


def print_report(report: LoadReport, *, as_document: bool) -> None:
    """Writes the report to the standard output."""
    if as_document:
        click.echo(json.dumps(report.document(), indent=2, ensure_ascii=False))
        return
    from rich.console import Console

    rows = table(["rate", *_KIND.values(), "CPU ms", "cores", "RSS", "SLO"], left=["request"], caption=_LEGEND)
    for step in report.steps:
        for n, kind in enumerate(step.kinds):
            rows.add_row(
                f"{step.rate_per_s:g}" if n == 0 else "", *_cells(kind), *(_of_step(step) if n == 0 else [""] * 4)
            )
    console = Console()
    console.width = max(console.width, 150)  # a wrapped row cannot be compared with another
    console.print(rows)
    if report.scenario.find:
        best = report.highest_met_per_s
        console.print("no rate meets the SLO" if best is None else f"meets the SLO up to {best:g} requests a second")


def _cells(kind: Figures) -> list[str]:
    return [cell(getattr(kind, name), ",.4g") for name in _KIND]


def _of_step(step: LoadStep) -> list[str]:
    slo = "–" if step.met is None else "met" if step.met else "missed"
    return [*(cell(value, ",.4g") for value in (step.cpu_ms, step.cores, step.rss_mb)), slo]
