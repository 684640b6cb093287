"""``vqc inspection``: an operator's own missions, from a copy to what the model is asked."""

from __future__ import annotations

import json

import pytest

from service.cli import main
from tests.support.inspections import TOWER_LIGHT
from vqc.missions import VARIABLE, activate


@pytest.fixture(autouse=True)
def _default_afterwards():
    yield
    activate(())


def run(*words: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([*map(str, words)])
    return int(ended.value.code or 0)


def test_from_a_copy_to_an_eighth_mission(tmp_path, capsys):
    own = tmp_path / "own"
    assert run("inspection", "new", own, "--name", "acme") == 0
    assert run("inspection", "diff", "telecom", own) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "name: telecom -> acme"
    with (own / "missions.yaml").open("a", encoding="utf-8") as file:
        file.write(TOWER_LIGHT)
    assert run("inspection", "check", own) == 0
    assert "acme 1: valid; 8 missions" in capsys.readouterr().out
    assert run("inspection", "diff", "telecom", own) == 1
    assert "mission 塔灯检查: new; checkpoints were not trained on it" in capsys.readouterr().out
    assert run("inspection", "show", own, "--prompts", "塔灯检查") == 0
    assert "任务重点：塔顶航空障碍灯是否点亮" in capsys.readouterr().out


def test_a_difference_says_what_it_does_to_checkpoints(tmp_path, capsys):
    own = tmp_path / "own"
    run("inspection", "new", own, "--name", "telecom")
    for name, old, new in (
        ("prompts.yaml", "请给出结论。", "结论是？"),
        ("missions.yaml", "focus: BBU端", "focus: 机柜内BBU端"),
        ("missions.yaml", "negative: [倒装, 安装方式错误]", "negative: [倒装]"),
    ):
        text = (own / name).read_text("utf-8")
        assert old in text
        (own / name).write_text(text.replace(old, new, 1), "utf-8")
    capsys.readouterr()
    assert run("inspection", "diff", "telecom", own) == 1
    output = capsys.readouterr().out
    assert "prompts stage_b.question: changed; checkpoints of the old text are refused" in output
    assert "+结论是？" in output
    assert "mission BBU线缆布放要求: focus changed; checkpoints count as not trained on it" in output
    assert "mission BBU安装方式检查（正装）: key_items changed; judged differently from now on" in output
    assert run("inspection", "diff", "telecom", "telecom") == 0


def test_what_cannot_be_used_is_one_sentence(tmp_path, capsys):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    for words in (
        ("new", tmp_path / "full", "--name", "acme"),
        ("new", tmp_path / "made", "--name", "Bad Name"),
        ("new", tmp_path / "made", "--name", "acme", "--from", tmp_path / "nowhere"),
        ("check", tmp_path / "nowhere"),
        ("check", tmp_path / "full"),
        ("check", "telecom", "telecom"),
    ):
        assert run("inspection", *words) == 2, words
        message = capsys.readouterr().err
        assert len(message.splitlines()) == 1
        assert "is not valid; " in message
    assert not (tmp_path / "made").exists()
    assert (tmp_path / "full" / "notes.txt").read_text() == "mine"


def test_the_environment_names_the_active_ones(tmp_path, capsys, monkeypatch):
    run("inspection", "new", tmp_path / "own", "--name", "acme")
    capsys.readouterr()
    monkeypatch.setenv(VARIABLE, str(tmp_path / "own"))
    monkeypatch.setattr("vqc.missions._active", None)
    assert run("inspection", "show", "--json") == 0
    assert [one["name"] for one in json.loads(capsys.readouterr().out)] == ["acme"]
