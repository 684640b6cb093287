"""Every command of README.md runs as it is written, in order, in one directory, with one real engine.

Three things are replaced, because another test runs them for real and this one would take minutes: ``make`` and ``docker``
(checked against Makefile and compose file), ``smoke-serve`` (``test_promote.py`` runs it on the shipped model; here its
arguments are parsed and a passing report is attached), and 48 of the 50 photos that ``evaluate`` scores. Commands after the
first server share its engine; servers after it answer from the scripted one.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
import yaml
from PIL import Image

from registry import open_registry
from registry.cli import registry as registry_cli
from tests.support.page_commands import ROOT, SERVER, Reader, page_commands, pretend_to_have_scored

pytestmark = pytest.mark.engine


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    if shutil.which("curl") is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("curl is not installed")
    (tmp_path / "output").mkdir()
    someone = Reader(tmp_path)
    yield someone
    someone.stop()


def test_every_command_of_the_readme_runs_in_order(reader: Reader) -> None:
    engine: dict[str, str] = {}
    checked: set[str] = set()
    for command in page_commands(ROOT / "README.md"):
        program = shlex.split(command)[0]
        if program == "make":
            check_make(command)
        elif command.startswith("export "):
            reader.export(command)
        elif SERVER.search(command):
            reader.start(command, **({"VQC_ENGINE": "scripted"} if engine else {}))
            engine = engine or {"VQC_ENGINE_URL": reader.engine_url(ROOT / "deploy/demo/model")}
        elif "smoke-serve" in command:
            attach_a_passing_smoke_report(reader, command)
        elif "vqc-train evaluate" in command:
            reader.run(f"{command} --limit 2")
            pretend_to_have_scored(reader.folder / "output/report/report.json", num_images=50)
        else:
            reader.run(command, **(engine if "--model" in command else {}))
        for words, check in CHECKS.items():
            if words in command:
                check(reader)
                checked.add(words)
    assert checked == set(CHECKS), "the README has lost a command"


def test_the_compose_command_has_its_file() -> None:
    assert "docker compose up --build --wait" in (ROOT / "README.md").read_text("utf-8")
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))["services"]
    assert {"api", "worker", "engine"} <= set(services)


def check_make(command: str) -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert set(shlex.split(command, comments=True)[1:]) <= set(targets), command


def attach_a_passing_smoke_report(reader: Reader, command: str) -> None:
    _, name, *arguments = shlex.split(command)
    registry_cli.commands[name].make_context(name, [*arguments, "--registry", str(reader.folder / "output/registry")])
    report = reader.folder / "smoke.json"
    report.write_text(json.dumps({"num_photos": 7, "disagreeing": 0, "unreadable": 0}))
    reader.run(f"vqc-registry attach {arguments[0]} --type smoke-serve {report}")


def has_a_caption(reader: Reader) -> None:
    assert json.loads(reader.output)["caption"]["object_1"]["desc"]


def has_a_line_for_each_photo(reader: Reader) -> None:
    assert [bool(photo["summary"]) for photo in json.loads(reader.output)["photos"]] == [True, True]


def has_a_line_for_each_file(reader: Reader) -> None:
    lines = (reader.folder / "output/lines.jsonl").read_text("utf-8").splitlines()
    assert len(lines) == len(list((ROOT / "deploy/demo/photos").glob("*.jpg")))


def is_a_picture(name: str) -> Callable[[Reader], None]:
    def check(reader: Reader) -> None:
        with Image.open(reader.folder / "output" / name) as picture:
            assert picture.width > 100

    return check


def rejects_strangers(reader: Reader) -> None:
    assert httpx.post(f"{reader.url}/caption", files={"photo": b"x"}).status_code == 401


def serves_the_champion(reader: Reader) -> None:
    champion = open_registry(str(reader.folder / "output/registry")).resolve("champion")
    assert champion in httpx.get(f"{reader.url}/models").text


CHECKS: dict[str, Callable[[Reader], None]] = {
    "rack.jpg http://127.0.0.1:8080/caption": has_a_caption,
    "event-stream": lambda reader: pytest.fail(reader.output) if "event: object" not in reader.output else None,
    "render=overlay": is_a_picture("drawn.png"),
    "8080/stage-a": has_a_line_for_each_photo,
    "stage-b submit": lambda reader: None,
    "groups list": lambda reader: None,
    "vqc caption": is_a_picture("drawn/rack.overlay.png"),
    "vqc stage-a": has_a_line_for_each_file,
    "VQC_API_KEYS_FILE": rejects_strangers,
    "vqc-train run": lambda reader: None,
    "vqc-train export": lambda reader: None,
    "vqc-registry push": lambda reader: None,
    "vqc-registry promote": lambda reader: None,
    "vqc api --model champion": serves_the_champion,
    "vqc stage-b run": lambda reader: None,
    "vqc stage-b calibrate": lambda reader: None,
}
"""What a command must have left, by some of its words."""
