"""The picture and the command lines of the load generator."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

import pytest

from loadtest.cli import main
from loadtest.load.outcome import Figures
from loadtest.load.plot import svg
from loadtest.load.report import print_report
from loadtest.load.scenario import Scenario, scenario_of
from loadtest.load.search import LoadReport, LoadStep
from loadtest.targets.service import plain_command


def kind(p50: float) -> Figures:
    return Figures(
        label="caption sse", requests=4, errors=0, malformed=0, per_s=1.0, tokens_per_s=9.0, p50_ms=p50, p95_ms=p50 * 2,
        p99_ms=p50 * 3, first_p50_ms=p50 / 2, first_p95_ms=p50, lag_p99_ms=0.1,
    )  # fmt: skip


def report(*rates: float, best: float | None = None) -> LoadReport:
    steps = tuple(
        LoadStep(rate_per_s=rate, seconds=60, met=True, cores=0.5, cpu_ms=2.0, rss_mb=80.0, kinds=(kind(10 * (n + 1)),))
        for n, rate in enumerate(rates)
    )
    scenario = scenario_of({"mix": [{"task": "caption", "body": "sse"}]}, "here")
    return LoadReport(scenario=scenario, steps=steps, problems=(), highest_met_per_s=best)


def texts(picture: str) -> list[str]:
    return [
        "".join(found.itertext()) for found in ElementTree.fromstring(picture).iter("{http://www.w3.org/2000/svg}text")
    ]


def test_the_picture_names_its_curves_axes_and_the_best_rate() -> None:
    found = texts(svg(report(4, 1, 2, best=2.0), "a & b"))
    assert found[0] == "a & b"
    assert {"caption sse p50", "caption sse p95", "caption sse first object p50", "requests due per second"} <= set(
        found
    )
    assert "meets the SLO up to 2/s" in found


def test_steps_of_one_rate_are_drawn_over_time() -> None:
    assert "minutes" in texts(svg(report(2, 2, 2), "soak"))


def test_a_report_without_an_answer_has_a_picture_too() -> None:
    empty = replace(report(1), steps=(replace(report(1).steps[0], kinds=()),))
    assert texts(svg(empty, "nothing"))[0] == "nothing"


def test_the_table_has_a_row_per_kind_and_the_search_its_result(capsys: pytest.CaptureFixture[str]) -> None:
    found = report(1, 2, best=1.5)
    searched = replace(found, scenario=found.scenario.model_copy(update={"find": True}))
    print_report(searched, as_document=False)
    shown = capsys.readouterr().out
    assert shown.count("caption sse") == 2
    assert "meets the SLO up to 1.5 requests a second" in shown


def run(args: list[str]) -> int:
    with pytest.raises(SystemExit) as end:
        main(args)
    return int(end.value.code or 0)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["caption", "--rate", "0"], "'0' must be numbers above 0"),
        (["caption", "--rate", "1,x"], "'1,x' must be numbers"),
        (["caption", "--slo", "95=3"], "must be like p95=2000"),
        (["caption", "--find"], "find needs an slo"),
        (["caption", "--pid", "1"], "--url"),
        (["caption", "--url", "http://h", "--model", "."], "give one of them"),
        (["stage-a", "--photos", "17"], "mix.0.stage-a.photos: 17"),
        (["stage-b", "--seconds", "0"], "seconds: 0.0"),
        (["mixed", "nowhere.yaml"], "does not exist"),
        (["engine", "loadtest/scenarios/mixed.yaml"], "--model to start one"),
    ],
)
def test_wrong_usage_is_exit_code_2_and_says_what_is_valid(
    args: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(args) == 2
    assert message in capsys.readouterr().err


def test_problems_make_the_exit_code_1(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Scenario] = []

    def measure(scenario: Scenario, options: object) -> LoadReport:
        seen.append(scenario)
        return replace(report(1), problems=("status 500: oops",))

    monkeypatch.setattr("loadtest.load.measure.measure_scenario", measure)
    assert run(["caption", "--body", "json", "--slo", "p90=50", "--rate", "3,4", "--json"]) == 1
    assert "the first: status 500: oops" in capsys.readouterr().err
    (slo,) = [load.slo for load in seen[0].mix]
    assert (slo and (slo.quantile, slo.ms), seen[0].rates_per_s) == ((0.9, 50.0), (3.0, 4.0))


def test_vllm_as_it_comes_gets_none_of_our_flags(tmp_path) -> None:
    from engine.profile import EngineSettings

    settings = EngineSettings(model=tmp_path, profile="gpu", extra_args=("--load-format", "dummy"))
    command = plain_command(settings, tmp_path / "s")
    assert command[1:4] == ["-m", "vllm.entrypoints.cli.main", "serve"]
    assert "--api-server-count" not in command
    assert command[-2:] == ["--load-format", "dummy"]
