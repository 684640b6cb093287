"""Every command of "From an empty directory to served verdicts" runs as it is written.

Both languages of the page have the same commands and files. Three things are replaced: ``evaluate`` scores two records each;
its report then says what a trained model reaches, because four steps teach nothing; and the server answers from the scripted
engine, which has something to say (vLLM serves the README's models). So it is the whole path of an inspection other than the
default, in its own words: check, draw, train, evaluate, promote, serve, judge.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from registry import open_registry
from tests.support.page_commands import ROOT, SERVER, Reader, page_commands, page_files, pretend_to_have_scored
from vqc.answer_words import WORDS
from vqc.parser import Status
from vqc.summary import parse
from vqc.verdict import Verdict

PAGE = ROOT / "docs/bring-your-own-inspection.md"
CHINESE = ROOT / "docs/zh-CN/bring-your-own-inspection.md"


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    if shutil.which("curl") is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("curl is not installed")
    someone = Reader(tmp_path, links=())
    someone.environment["PATH"] = f"{tmp_path / '.venv/bin'}:{someone.environment['PATH']}"
    yield someone
    someone.stop()


def test_every_command_of_the_page_runs_in_order(reader: Reader) -> None:
    for name, text in page_files(PAGE).items():
        (reader.folder / name).write_text(text, "utf-8")
    checked: set[str] = set()
    for command in page_commands(PAGE):
        if command.startswith("export "):
            reader.export(command)
        elif SERVER.search(command):
            reader.start(command, VQC_ENGINE="scripted")
        elif "vqc-train evaluate" in command:
            reader.run(f"{command} --limit 2 --max-new-tokens 16")
            report = reader.folder / "report/report.json"
            assert json.loads(report.read_text("utf-8"))["num_tickets"] == 2
            pretend_to_have_scored(report, num_images=50, f1_50_box=1.0, verdict_accuracy=0.98)
        else:
            reader.run(command)
        for words, check in CHECKS.items():
            if words in command:
                check(reader)
                checked.add(words)
    assert checked == set(CHECKS), "the page has lost a command"


def test_the_two_languages_have_the_same_commands_and_files() -> None:
    assert page_commands(CHINESE) == page_commands(PAGE)
    assert page_files(CHINESE) == page_files(PAGE)


def says(*words: str) -> Callable[[Reader], None]:
    def check(reader: Reader) -> None:
        assert all(word in reader.output for word in words), reader.output

    return check


def serves_the_champion_with_its_missions(reader: Reader) -> None:
    champion = open_registry(str(reader.folder / "registry")).resolve("champion")
    assert champion in httpx.get(f"{reader.url}/models").text
    missions = httpx.get(f"{reader.url}/missions").json()
    assert "Sealing" in json.dumps(missions)
    assert "挡风板" not in json.dumps(missions, ensure_ascii=False)


def has_a_caption(reader: Reader) -> None:
    assert json.loads(reader.output)["coordinates"] == "norm1000"


def has_a_line_of_a_trained_mission(reader: Reader) -> None:
    answer = json.loads(reader.output)
    assert answer.get("trained", True) is True
    (photo,) = answer["photos"]
    assert parse(photo["summary"], WORDS["en"]).status is Status.PARSED


def is_judged_in_its_own_words(reader: Reader) -> None:
    pages = [httpx.get(f"{reader.url}/stage-b/groups?state={state}").json() for state in ("needs_review", "decided")]
    (ticket,) = (one for page in pages for one in page["groups"])
    assert (ticket["mission"], ticket["machine_verdict"] in list(Verdict)) == ("Sealing", True)
    for path in (f"tickets/{ticket['id']}", "guidance"):
        page = httpx.get(f"{reader.url}/console/{path}", headers={"Accept": "text/html"})
        assert (page.status_code, "Sealing" in page.text) == (200, True), path


CHECKS: dict[str, Callable[[Reader], None]] = {
    "inspection new": lambda reader: None,
    "inspection check": says("valid", "3 missions"),
    "inspection show": says("Mission: Sealing", "PASS"),
    "scenes.meters drawn": says("drawn/train.jsonl"),
    "vqc-train validate": says("61 of 61"),
    "vqc-train run train.yaml": lambda reader: None,
    "vqc-train export": lambda reader: None,
    "vqc-train evaluate": lambda reader: None,
    "vqc-registry promote": lambda reader: None,
    "vqc up": serves_the_champion_with_its_missions,
    "8080/caption": has_a_caption,
    "8080/stage-a": has_a_line_of_a_trained_mission,
    "stage-b submit": lambda reader: None,
    "groups list": is_judged_in_its_own_words,
}
"""What a command must have left, by some of its words."""
