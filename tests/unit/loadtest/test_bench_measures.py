"""Quantiles, /proc and the report."""

from __future__ import annotations

import io
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from loadtest.errors import BenchFailed
from loadtest.process_usage import tree_usage
from loadtest.quantiles import quantile
from loadtest.report import as_json, growth, table
from loadtest.suites.gateway import Report, Row

TICKS = os.sysconf("SC_CLK_TCK")


@given(st.lists(st.floats(0, 1e6), min_size=2, max_size=50))
def test_the_quantiles_are_those_of_the_standard_library(values: list[float]) -> None:
    ascending = sorted(values)
    expected = statistics.quantiles(ascending, n=100, method="inclusive")
    assert [quantile(ascending, q / 100) for q in range(1, 100)] == pytest.approx(expected)
    assert (quantile(ascending, 0), quantile(ascending, 1)) == (ascending[0], ascending[-1])


@pytest.mark.parametrize(("values", "q"), [([], 0.5), ([1.0], 1.1), ([1.0], -0.1)])
def test_a_quantile_of_nothing_or_outside_is_refused(values: list[float], q: float) -> None:
    with pytest.raises(ValueError, match="quantile"):
        quantile(values, q)


def proc_entry(proc: Path, pid: int, parent: int, ticks: tuple[int, int, int, int], peak_kb: int = 2048) -> None:
    (proc / str(pid)).mkdir(parents=True)
    times = " ".join(map(str, ticks))
    (proc / str(pid) / "stat").write_text(f"{pid} (a) b) S {parent} 1 1 0 -1 0 0 0 0 0 {times} 20 0 1 0 5")
    (proc / str(pid) / "status").write_text(f"Name:\ta\nVmPeak:\t 9 kB\nVmHWM:\t {peak_kb} kB\nVmRSS:\t 7 kB\n")


def test_usage_is_of_the_whole_tree_and_of_nobody_else(tmp_path: Path) -> None:
    (tmp_path / "self").mkdir()
    proc_entry(tmp_path, 10, 1, (1, 2, 3, 4), peak_kb=3072)
    proc_entry(tmp_path, 11, 10, (10, 0, 0, 0))
    proc_entry(tmp_path, 12, 11, (0, 20, 0, 0))
    proc_entry(tmp_path, 99, 1, (5000, 5000, 0, 0))

    usage = tree_usage(10, tmp_path)

    assert usage.cpu_s == pytest.approx(40 / TICKS)
    assert usage.peak_rss_mb == 3.0


def test_this_very_process_can_be_measured() -> None:
    usage = tree_usage(os.getpid())
    assert usage.cpu_s > 0
    assert usage.peak_rss_mb > 5


def test_a_missing_process_or_proc_is_said(tmp_path: Path) -> None:
    with pytest.raises(BenchFailed, match="only Linux has"):
        tree_usage(1, tmp_path)
    (tmp_path / "self").mkdir()
    with pytest.raises(BenchFailed, match="no process 7"):
        tree_usage(7, tmp_path)


def row(connections: int, cpu_ms: float | None, errors: int = 0) -> Row:
    return Row(
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
    report = Report(rows=[row(1, 1.5), row(256, 1.8)], problem=None, photo_bytes=(106_000, 142_000))
    Console(file=out, width=80).print(table(report))
    assert "1,234.50" in out.getvalue()
    assert "…" not in out.getvalue()
    assert "256 connections is 1.20 times that at 1" in out.getvalue()


def test_growth_needs_two_levels_with_cpu() -> None:
    assert growth([row(1, 1.0)]) is None
    assert growth([row(1, None), row(2, 1.0)]) is None
    assert growth([row(64, 3.0), row(1, 2.0)]) == "CPU per request at 64 connections is 1.50 times that at 1"


def test_the_photos_are_distinct_jpegs_and_the_same_every_time() -> None:
    from loadtest.load.photos import jpeg_photos

    photos = jpeg_photos(3, (256, 192))
    assert len(set(photos)) == 3
    assert all(photo.startswith(b"\xff\xd8") for photo in photos)
    assert jpeg_photos(3, (256, 192)) == photos


@pytest.mark.parametrize("args", [["--help"], ["gateway", "--help"]])
def test_help_loads_nothing_heavy(args: list[str]) -> None:
    code = (
        "import sys\nfrom loadtest.cli import main\n"
        f"try:\n    main({args!r})\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        "heavy = {'torch', 'vllm', 'fastapi', 'uvicorn', 'uvloop', 'PIL', 'pydantic', 'rich', 'asyncio', 'httpx'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "Usage: vqc-bench" in result.stdout
