"""The commands: what they print, their exit codes, and that nothing heavy is loaded to say so."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import click
import pytest

from registry import Registry
from registry.cli import main
from registry.guidance import guidance_alias
from tests.support.promotion import GOOD, MISSION, Push, guidance_record
from tests.support.signing_keys import key_pair

PAGE = (Path(__file__).parents[4] / "docs/promotion.md").read_text("utf-8")
DOCUMENTED = [line.strip() for line in PAGE.splitlines() if line.startswith("    vqc-registry ")]
POLICY = """
models:
  champion:
    reports: {evaluation: {metrics: {f1_50_box: {min: 0.5}}}}
    signature: {keys: [release.pub]}
guidance: {}
"""


class Shell:
    """Runs commands on one registry."""

    def __init__(self, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.root = root
        self.capsys = capsys

    def __call__(self, *words: str) -> tuple[int, str, str]:
        """Exit code, standard output, standard error."""
        with pytest.raises(SystemExit) as ended:
            main(list(words))
        out, err = self.capsys.readouterr()
        return int(ended.value.code or 0), out, err

    def json(self, *words: str) -> dict[str, object]:
        code, out, err = self(*words, "--json")
        assert code == 0, err
        return json.loads(out)


@pytest.fixture
def shell(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Shell:
    monkeypatch.setenv("VQC_REGISTRY", registry.where)
    monkeypatch.setenv("VQC_MODEL_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs/registry_policy.yaml").write_text(POLICY)
    return Shell(tmp_path, capsys)


def test_from_refused_to_promoted_and_back(shell: Shell, push: Push) -> None:
    private, public = key_pair(shell.root, "release")
    public.rename(shell.root / "configs/release.pub")
    versions = [push(1), push(2)]
    code, out, err = shell("promote", versions[0], "--to", "champion")
    assert (code, out) == (1, "")
    assert "2 finding(s)" in err
    assert "vqc-registry attach" in err
    assert "vqc-registry sign" in err
    (shell.root / "report.json").write_text(json.dumps(GOOD))
    for version in versions:
        assert shell("attach", version, "--type", "evaluation", "report.json")[0] == 0
        assert shell.json("sign", version, "--key", str(private))["version"] == version
        assert shell("promote", version, "--to", "champion", "--check")[:2] == (0, "all gates passed\n")
        assert shell.json("promote", version, "--to", "champion", "--actor", "ann")["version"] == version
    code, out, _ = shell("rollback", "champion", "--reason", "complaints")
    assert (code, out) == (0, f"champion: {versions[1]} -> {versions[0]}\n")


def test_refusals_as_json_name_every_finding(shell: Shell, push: Push) -> None:
    version = push(1, contract={"lines": "0" * 64})
    for more in ([], ["--check"]):
        code, out, _ = shell("promote", version, "--to", "champion", "--json", *more)
        assert code == 1
        assert [finding["gate"] for finding in json.loads(out)["findings"]] == ["signature", "contract", "evaluation"]


def test_an_alias_without_rules_is_refused(shell: Shell, push: Push) -> None:
    code, _, err = shell("promote", push(1), "--to", "champ")
    assert code == 2
    assert "has rules only for: champion, guidance/MISSION" in err


def test_guidance_takes_the_same_way(shell: Shell) -> None:
    digests = []
    for step in (0, 1):
        file = shell.root / f"{step}.json"
        file.write_bytes(guidance_record(step))
        pushed = shell.json("guidance", "push", str(file))
        assert (pushed["step"], pushed["in_force"]) == (step, False)
        digests.append(str(pushed["digest"]))
        moved = shell.json("promote", digests[-1], "--to", f"guidance/{MISSION}")
        assert moved["alias"] == guidance_alias(MISSION)
    assert [line[0] for line in shell("guidance", "list")[1].splitlines()] == [" ", "*"]
    assert shell("rollback", f"guidance/{MISSION}")[0] == 0
    assert shell("guidance", "pull", f"guidance/{MISSION}", "out.json")[0] == 0
    assert json.loads((shell.root / "out.json").read_bytes()) == json.loads(guidance_record(0))
    code, _, err = shell("guidance", "pull", f"guidance/{MISSION}", "out.json")
    assert code == 2
    assert "must not exist" in err


@pytest.mark.parametrize("line", DOCUMENTED)
def test_every_documented_command_is_one(line: str) -> None:
    from registry.cli import registry

    _, name, *words = shlex.split(line, comments=True)
    command = registry.commands[name]
    if isinstance(command, click.Group):
        name, *words = words
        command = command.commands[name]
    with command.make_context(name, ["--registry", "somewhere", *words]) as context:
        assert context.params


def test_a_file_that_is_not_there_is_named(shell: Shell, push: Push) -> None:
    version = push(1)
    for words in (
        ("attach", version, "--type", "evaluation", "nowhere"),
        ("sign", version, "--key", "nowhere"),
        ("guidance", "push", "nowhere"),
        ("promote", version, "--to", "champion", "--policy", "nowhere"),
        ("smoke-serve", version, "--photos", "nowhere"),
    ):
        code, _, err = shell(*words)
        assert code == 2, words
        assert "nowhere" in err
