"""The rows and tables of ``vqc-bench gateway``."""

from __future__ import annotations

import io
import json

from rich.console import Console

from loadtest.report import as_json
from loadtest.suites.gateway import cpu_growth, report_table, tree_table
from loadtest.suites.gateway_rows import GatewayReport, GatewayRow, TreeRow


def row(connections: int, cpu_ms: float | None, errors: int = 0) -> GatewayRow:
    return GatewayRow(
        connections=connections,
        requests_per_s=1234.5,
        cpu_ms_per_request=cpu_ms,
        p50_ms=1.0,
        p99_ms=2.0,
        errors=errors,
        requests=100,
        server_cores=0.9,
        client_cores=0.1,
        answers_so_far=120,
        peak_rss_mb=None,
    )


def test_json_is_a_list_of_rows_with_the_promised_keys() -> None:
    rows = json.loads(as_json([row(1, 1.5), row(256, None)]))
    assert [entry["connections"] for entry in rows] == [1, 256]
    assert {"connections", "requests_per_s", "cpu_ms_per_request", "p50_ms", "p99_ms"} <= set(rows[0])
    assert rows[1]["cpu_ms_per_request"] is None


def test_the_table_fits_a_terminal_and_cuts_nothing() -> None:
    out = io.StringIO()
    report = GatewayReport(rows=[row(1, 1.5), row(256, 1.8)], problem=None)
    Console(file=out, width=80).print(report_table(report, [b"x" * 106_000, b"x" * 142_000]))
    assert "1,234.50" in out.getvalue()
    assert "…" not in out.getvalue()
    assert "256 connections is 1.20 times that at 1" in out.getvalue()


def test_growth_needs_two_levels_with_cpu() -> None:
    assert cpu_growth([row(1, 1.0)]) is None
    assert cpu_growth([row(1, None), row(2, 1.0)]) is None
    assert cpu_growth([row(64, 3.0), row(1, 2.0)]) == "CPU per request at 64 connections is 1.50 times that at 1"


def test_the_table_has_a_row_per_level() -> None:
    row = TreeRow(
        connections=16, pairs=3, ours_cpu_ms=1.5, theirs_cpu_ms=3.0, cpu_ratio=0.5, spread=(0.4, 0.6), rate_ratio=2.0, errors=0
    )  # fmt: skip
    assert tree_table([row]).row_count == 1
