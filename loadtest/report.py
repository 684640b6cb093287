"""Rows of a benchmark as a table for people or JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from loadtest.suites.gateway import Report, Row

if TYPE_CHECKING:
    from _typeshed import DataclassInstance
    from rich.table import Table

    from loadtest.against import PairRow

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


def as_json(rows: Sequence[DataclassInstance]) -> str:
    """One JSON document: a list with an object per row, of any benchmark."""
    return json.dumps([asdict(row) for row in rows], indent=2)


def table(report: Report) -> Table:
    """The rows for a terminal; what was not measured is a dash."""
    from rich import box
    from rich.table import Table

    smallest, largest = report.photo_bytes
    result = Table(
        title=f"POST /caption, photos of {smallest // 1000} to {largest // 1000} KB",
        caption="\n".join(filter(None, [_LEGEND, growth(report.rows)])),
        box=box.SIMPLE_HEAD,
        padding=(0, 0, 0, 1),
        show_edge=False,
    )
    for heading in _COLUMNS.values():
        result.add_column(heading, justify="right", no_wrap=True)
    for row in report.rows:
        values = asdict(row)
        result.add_row(*(_shown(values[name]) for name in _COLUMNS))
    return result


def pair_table(rows: Sequence[PairRow]) -> Table:
    """This tree against another, for a terminal."""
    from rich import box
    from rich.table import Table

    result = Table(
        padding=(0, 0, 0, 1),
        title="this tree ÷ the other",
        caption="CPU ms per request and ratios are medians over the pairs; below 1 (CPU) and above 1 (rate) is better",
        box=box.SIMPLE_HEAD,
        show_edge=False,
    )
    for heading in ("conns", "pairs", "CPU ms", "other", "CPU ratio", "lowest", "highest", "rate ratio", "errors"):
        result.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        values = (row.connections, row.pairs, row.ours_cpu_ms, row.theirs_cpu_ms, row.cpu_ratio, *row.spread)
        result.add_row(*(_shown(value) for value in (*values, row.rate_ratio, row.errors)))
    return result


def growth(rows: Sequence[Row]) -> str | None:
    """How the CPU cost of a request grows from the fewest to the most connections; None when that was not measured."""
    measured = sorted((row.connections, row.cpu_ms_per_request) for row in rows if row.cpu_ms_per_request)
    if len(measured) < 2:
        return None
    (fewest, first), (most, last) = measured[0], measured[-1]
    return f"CPU per request at {most} connections is {last / first:.2f} times that at {fewest}"


def _shown(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"
