"""``vqc-bench swap``: what counts as an error and as a foreign answer, and a whole run on the scripted engine."""

from __future__ import annotations

import json
from dataclasses import replace

import httpx
import pytest

from loadtest.cli import main
from loadtest.suites import swap
from loadtest.suites.swap import SwapReport
from loadtest.suites.swap_answers import SwapAnswer, SwapRow, count_foreign, read_answer, swap_row

ROW = SwapRow(
    move="swap", mode="blue_green", seconds=1.0, double_memory_s=0.9, requests=3, errors=0, foreign=0, by_old=1,
    by_new=2, steady_p50_ms=1.0, p50_ms=1.0, longest_ms=2.0,
)  # fmt: skip


def answer(began: float, digest: str, caption: str, photo: int = 0) -> SwapAnswer:
    return SwapAnswer(began=began, ended=began + 1, digest=digest, problem=None, photo=photo, caption=caption)


def test_an_answer_that_only_the_other_model_writes_is_foreign():
    elsewhere = [answer(0, "v1", "one"), answer(50, "v2", "two")]
    during = [answer(20, "v1", "one"), answer(21, "v2", "one"), answer(22, "v2", "two"), answer(23, "v1", "never seen")]
    assert count_foreign([*elsewhere, *during], during) == 1


def test_a_row_counts_what_was_under_way_or_begun_after_the_call():
    answers = [answer(0, "v1", "one"), answer(9.5, "v1", "one"), answer(12, "v2", "two"), answer(30, "v2", "two")]
    answers.append(SwapAnswer(began=11, ended=11.5, digest=None, problem="status 503"))
    swapped = {"mode": "blue_green", "seconds": 3.0, "double_memory_s": 2.0, "before": "v1", "digest": "v2"}
    row = swap_row(answers, "swap", swapped, 0.0, 10.0, 20.0)
    assert (row.requests, row.errors, row.by_old, row.by_new) == (3, 1, 1, 1)
    assert (row.steady_p50_ms, row.longest_ms) == (1000.0, 1000.0)


def response(status: int = 200, header: str = "champion@v1", **body) -> httpx.Response:
    content = {"model": {"alias": "champion", "digest": "v1"}, "caption": {}, **body}
    return httpx.Response(status, json=content, headers={"X-Vqc-Model": header})


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (response(), None),
        (response(503), "status 503"),
        (response(header="champion@v2"), "different models"),
        ("/caption: ReadError", "ReadError"),
        (response(photos=[{"problem": {"status": 503}}]), "503"),
        (response(photos=[{"problem": {"status": 502}}]), None),
    ],
)
def test_what_counts_as_an_error(answer, problem):
    found = read_answer(0.0, answer, 0).problem
    assert found is None if problem is None else problem in str(found)


@pytest.mark.parametrize(("report", "code"), [(SwapReport(rows=[ROW], problem=None), 0),
                                              (SwapReport(rows=[ROW], problem="status 503"), 1),
                                              (SwapReport(rows=[replace(ROW, foreign=1)], problem=None), 1)])  # fmt: skip
def test_errors_and_foreign_answers_fail_the_run(report, code, tmp_path, monkeypatch, capsys):
    async def measure(plan, photos, progress):
        progress("swap 1 of 1")
        return report

    monkeypatch.setattr(swap, "measure", measure)
    for output in ([], ["--json"]):
        with pytest.raises(SystemExit) as end:
            main(["swap", str(tmp_path), str(tmp_path), *output])
        assert (end.value.code or 0) == code
        printed = capsys.readouterr().out
    assert [row["move"] for row in json.loads(printed)] == ["swap"]


def test_the_same_version_twice_is_no_swap(tmp_path, capsys):
    from tests.support.bare_model import checkpoint

    directory = str(checkpoint(tmp_path / "a", b"one"))
    with pytest.raises(SystemExit) as end:
        main(["swap", directory, directory, "--engine", "scripted"])
    assert end.value.code == 1
    assert "are the same version sha256:" in capsys.readouterr().err


def test_a_run_on_the_scripted_engine_has_its_rows_and_no_errors(tmp_path, capsys):
    from tests.support.bare_model import checkpoint

    directories = [str(checkpoint(tmp_path / name, name.encode())) for name in "ab"]
    with pytest.raises(SystemExit) as end:
        main(["swap", *directories, "--engine", "scripted", "--rounds", "1", "--steady", "0.5", "--json"])
    assert (end.value.code or 0) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["move"] for row in rows] == ["swap", "rollback"]
    for row in rows:
        assert (row["errors"], row["foreign"]) == (0, 0)
        assert row["by_old"] + row["by_new"] == row["requests"] > 0
