"""Wrong usage and failed measurements end with one sentence and the right exit code."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence

import pytest

from loadtest.cli import main
from loadtest.errors import BenchFailed
from loadtest.suites import gateway_load
from loadtest.suites.gateway_rows import GatewayPlan, GatewayReport, GatewayRow


def run(args: Sequence[str]) -> int:
    with pytest.raises(SystemExit) as end:
        main(args)
    return int(end.value.code or 0)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["gateway", "--connections", "0"], "'0' must be whole numbers from 1"),
        (["gateway", "--connections", "1,x"], "'1,x' must be whole numbers"),
        (["gateway", "--connections", ""], "must be whole numbers"),
        (["gateway", "--seconds", "0"], "--seconds"),
        (["gateway", "--width", "10"], "--width"),
        (["gateway", "--body", "xml"], "'multipart', 'json'"),
        (["gateway", "--pid", "1"], "--url"),
        (["gateway", "--api-key", "k"], "--url"),
        (["gateway", "--url", "https://host"], "must be http://host"),
        (["gatewaay"], "gatewaay"),
    ],
)
def test_wrong_usage_is_exit_code_2(
    args: list[str], message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(args) == 2
    assert message in capsys.readouterr().err


def measure_with(errors: int, problem: str | None) -> Callable[..., object]:
    async def measure(plan: GatewayPlan, photos: Sequence[bytes], progress: Callable[[str], None]) -> GatewayReport:
        progress("3 connections")
        row = GatewayRow(
            connections=plan.connections[0],
            requests_per_s=2.0,
            cpu_ms_per_request=1.0,
            p50_ms=1.0,
            p99_ms=1.0,
            errors=errors,
            requests=10,
            server_cores=0.5,
            client_cores=0.1,
            answers_so_far=10,
            peak_rss_mb=60.0,
        )
        return GatewayReport(rows=[row], problem=problem)

    return measure


SMALL = ["gateway", "--connections", "3", "--width", "256", "--height", "192"]


def test_json_is_one_document(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway_load, "measure", measure_with(0, None))
    assert run([*SMALL, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["connections"] == 3


def test_errors_print_the_rows_and_the_first_problem(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway_load, "measure", measure_with(7, "status 500: oops"))
    assert run([*SMALL, "--json"]) == 1
    captured = capsys.readouterr()
    assert json.loads(captured.out)[0]["errors"] == 7
    assert "7 errors, the first: status 500: oops" in captured.err


def test_no_measurement_is_exit_code_1(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    async def measure(*_: object) -> GatewayReport:
        raise BenchFailed("the API is not ready")

    monkeypatch.setattr(gateway_load, "measure", measure)
    assert run(SMALL) == 1
    assert "vqc-bench: the API is not ready" in capsys.readouterr().err


def test_the_stub_without_a_second_checkout_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["gateway", "--stub"])
    assert "give --against too" in capsys.readouterr().err


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
