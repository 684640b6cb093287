"""Wrong usage and failed measurements end with one sentence and the right exit code."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import pytest

from loadtest.cli import main
from loadtest.errors import BenchFailed
from loadtest.suites import gateway
from loadtest.suites.gateway import Plan, Report, Row
from loadtest.targets.api import server_environment


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


def measured(errors: int, problem: str | None) -> Callable[..., object]:
    async def measure(plan: Plan, photos: Sequence[bytes], starting: Callable[[int], None]) -> Report:
        starting(plan.connections[0])
        row = Row(
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
        return Report(rows=[row], problem=problem, photo_bytes=(len(photos[0]), len(photos[-1])))

    return measure


SMALL = ["gateway", "--connections", "3", "--width", "256", "--height", "192"]


def test_json_is_one_document(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway, "measure", measured(0, None))
    assert run([*SMALL, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["connections"] == 3


def test_errors_print_the_rows_and_the_first_problem(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway, "measure", measured(7, "status 500: oops"))
    assert run([*SMALL, "--json"]) == 1
    captured = capsys.readouterr()
    assert json.loads(captured.out)[0]["errors"] == 7
    assert "7 errors, the first: status 500: oops" in captured.err


def test_no_measurement_is_exit_code_1(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    async def measure(*_: object) -> Report:
        raise BenchFailed("the API is not ready")

    monkeypatch.setattr(gateway, "measure", measure)
    assert run(SMALL) == 1
    assert "vqc-bench: the API is not ready" in capsys.readouterr().err


def test_the_measured_api_takes_the_callers_settings_but_not_its_engine_or_keys(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("VQC_PHOTO_THREADS", "2")
    monkeypatch.setenv("VQC_ENGINE_URL", "http://engine")
    monkeypatch.setenv("VQC_API_KEYS_FILE", "keys.yaml")
    monkeypatch.setenv("VQC_PORT", "1")
    environment = server_environment(8123, 512)
    ours = {name: value for name, value in environment.items() if name.startswith("VQC_")}
    assert ours == {
        "VQC_PHOTO_THREADS": "2",
        "VQC_HOST": "127.0.0.1",
        "VQC_PORT": "8123",
        "VQC_ENGINE": "scripted",
        "VQC_STAGE_B": "off",
        "VQC_MAX_IN_FLIGHT": "512",
        "VQC_LOG_LEVEL": "warning",
    }
