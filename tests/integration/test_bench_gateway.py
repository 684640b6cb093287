"""``vqc-bench gateway`` against our own API on the scripted engine. Nothing here asserts on time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from time import monotonic, sleep

import pytest

BENCH = [sys.executable, "-m", "loadtest", "gateway", "--width", "256", "--height", "192"]


@pytest.mark.parametrize("body", ["multipart", "json"])
def test_a_short_run_has_the_promised_rows_and_no_errors(body: str) -> None:
    result = subprocess.run(
        [*BENCH, "--connections", "1,4", "--seconds", "1", "--body", body, "--json"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert result.returncode == 0, result.stderr
    rows = json.loads(result.stdout)
    assert [row["connections"] for row in rows] == [1, 4]
    for row in rows:
        assert {"connections", "requests_per_s", "cpu_ms_per_request", "p50_ms", "p99_ms"} <= set(row)
        assert row["errors"] == 0
        assert min(row["requests"], row["cpu_ms_per_request"], row["p50_ms"]) > 0
        assert row["p50_ms"] <= row["p99_ms"]
    assert rows[1]["answers_so_far"] > rows[0]["answers_so_far"] > 0


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_the_measured_api_too(sent: signal.Signals, code: int) -> None:
    bench = subprocess.Popen(
        [*BENCH, "--connections", "2", "--seconds", "60", "--json"],
        stdout=subprocess.DEVNULL,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # a background shell ignores SIGINT
    )
    try:
        api = child_of(bench.pid)
        bench.send_signal(sent)
        assert bench.wait(timeout=60) == code
        assert not Path(f"/proc/{api}").exists()
    finally:
        bench.kill()
        bench.wait()


def test_an_api_that_cannot_start_is_reported_with_its_last_words() -> None:
    environment = os.environ | {"VQC_PHOTO_THREADS": "none"}
    result = subprocess.run(BENCH, env=environment, capture_output=True, text=True, check=False, timeout=120)

    assert result.returncode == 1
    assert "VQC_PHOTO_THREADS: 'none' is not valid" in result.stderr
    assert result.stdout == ""


def child_of(pid: int) -> int:
    """The first child of a process, waited for."""
    deadline = monotonic() + 60
    while monotonic() < deadline:
        if children := Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            return int(children[0])
        sleep(0.05)
    raise AssertionError("no child was started")


def test_two_trees_are_compared_in_pairs_with_a_stub_of_vllm() -> None:
    here = Path(__file__).parents[2]
    command = [
        *BENCH,
        "--against",
        str(here),
        "--stub",
        "--connections",
        "2",
        "--seconds",
        "0.5",
        "--rounds",
        "2",
        "--json",
    ]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)

    assert result.returncode == 0, result.stderr
    (row,) = json.loads(result.stdout)
    assert (row["connections"], row["pairs"], row["errors"]) == (2, 2, 0)
    assert min(row["ours_cpu_ms"], row["theirs_cpu_ms"], row["rate_ratio"]) > 0
    assert row["spread"][0] <= row["cpu_ratio"] <= row["spread"][1]
