"""``vqc inspection push | list | pull | activate | rollback``, and references in VQC_INSPECTIONS."""

from __future__ import annotations

import os

import pytest

from registry import open_registry
from registry.references import take_inspections
from service.cli import main
from tests.support.inspections import TOWER_LIGHT, copy_of_default
from vqc.errors import InvalidValue
from vqc.inspection import MISSIONS
from vqc.missions import VARIABLE, activate, active


@pytest.fixture(autouse=True)
def where(tmp_path, monkeypatch):
    monkeypatch.setenv("VQC_REGISTRY", str(tmp_path / "registry"))
    monkeypatch.setenv("VQC_MODEL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv(VARIABLE, "")
    yield tmp_path / "registry"
    activate(())


@pytest.fixture
def own(tmp_path):
    made = copy_of_default(tmp_path / "own", name="acme")
    raise_version(made, 1)
    return made


def raise_version(directory, to: int) -> None:
    header = directory / "inspection.yaml"
    lines = [
        f"version: {to}" if line.startswith("version:") else line for line in header.read_text("utf-8").split("\n")
    ]
    header.write_text("\n".join(lines), "utf-8")


def run(*words: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([*map(str, words)])
    return int(ended.value.code or 0)


def test_from_an_edit_to_a_rollback(own, where, tmp_path, capsys):
    assert run("inspection", "push", own, "--activate", "--actor", "li", "--reason", "first") == 0
    first = capsys.readouterr().out.strip()
    with (own / MISSIONS).open("a", encoding="utf-8") as file:
        file.write(TOWER_LIGHT)
    assert run("inspection", "push", own) == 2
    assert "inspection.yaml: version: 1 is not valid; is stored as" in capsys.readouterr().err
    raise_version(own, 2)
    assert run("inspection", "push", own) == 0
    assert run("inspection", "diff", "inspection/acme", own) == 1
    assert "mission 塔灯检查: new" in capsys.readouterr().out
    assert (
        run("inspection", "activate", "inspection/acme@2", "--expected", "inspection/acme@1", "--reason", "塔灯") == 0
    )
    assert run("inspection", "activate", "inspection/acme@2", "--expected", "none") == 2
    assert "was moved meanwhile" in capsys.readouterr().err
    assert run("inspection", "list", "acme") == 0
    assert [line[0] + line[-6:] for line in capsys.readouterr().out.splitlines()] == [" acme 1", "*acme 2"]
    assert run("inspection", "rollback", "acme", "--reason", "too early") == 0
    assert run("inspection", "pull", "inspection/acme", tmp_path / "out") == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith("acme 1 with 7 missions")
    moves = [entry for entry in open_registry(where).audit() if entry.action == "move"]
    assert [(one.after == first, one.reason) for one in moves] == [
        (True, "first"),
        (False, "塔灯"),
        (True, "rollback: too early"),
    ]
    assert moves[0].actor == "li"


def test_a_reference_becomes_a_directory_that_child_processes_inherit(own, monkeypatch, capsys):
    run("inspection", "push", own, "--activate")
    monkeypatch.setenv(VARIABLE, f"inspection/acme{os.pathsep}meters")
    take_inspections()
    directory, meters = os.environ[VARIABLE].split(os.pathsep)
    assert meters == "meters"
    names = [one.name for one in activate([directory, meters]).inspections]
    assert names == ["acme", "meters"]
    assert active().from_registry == {"acme"}
    monkeypatch.setenv(VARIABLE, "inspection/nowhere")
    capsys.readouterr()
    assert run("inspection", "check") == 2
    assert "inspection-nowhere" in capsys.readouterr().err


def test_without_a_registry_the_sentence_says_what_to_set(monkeypatch):
    monkeypatch.delenv("VQC_REGISTRY")
    monkeypatch.setenv(VARIABLE, "inspection/acme")
    take_inspections()
    with pytest.raises(InvalidValue, match=r"set VQC_REGISTRY, or write \./inspection/acme"):
        activate([os.environ[VARIABLE]])
