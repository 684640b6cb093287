"""Which inspections are active, and their missions by name."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.support.inspections import TOWER_LIGHT, copy_of_default, inspections
from vqc.errors import InvalidValue, UnknownMission
from vqc.missions import SHIPPED, activate, mission_named, missions
from vqc.prompts import stage_a_prompt

ROOT = Path(__file__).parents[3]


def test_an_operators_mission_is_asked_with_his_words(tmp_path):
    own = copy_of_default(tmp_path / "own", further=TOWER_LIGHT)
    prompts = own / "prompts.yaml"
    prompts.write_text(prompts.read_text("utf-8").replace("请概括这张图片。", "一句话说明这张图。"), "utf-8")
    with inspections(own):
        assert len(missions()) == 8
        asked = stage_a_prompt(mission_named("塔灯检查")).after
        assert "一句话说明这张图。" in asked
        assert "塔顶航空障碍灯是否点亮" in asked
    assert "塔灯检查" not in missions()
    with pytest.raises(UnknownMission):
        mission_named("塔灯检查")


def test_two_inspections_need_names_and_missions_of_their_own(tmp_path):
    first = copy_of_default(tmp_path / "first")
    for second, message in (
        (copy_of_default(tmp_path / "second"), "active once"),
        (copy_of_default(tmp_path / "third", name="third"), "mission of telecom and of third"),
    ):
        with pytest.raises(InvalidValue, match=message):
            activate([first, second])
    other = copy_of_default(tmp_path / "other", name="other")
    (other / "missions.yaml").write_text(TOWER_LIGHT, "utf-8")
    with inspections(first, other) as both:
        assert [*both.missions][-1] == "塔灯检查"
        assert len(both.missions) == 8


def test_no_module_names_an_inspection():
    names = [path.name for path in SHIPPED.iterdir() if path.is_dir()]
    assert names
    packages = ("vqc", "engine", "registry", "service", "trainer")
    for path in (path for package in packages for path in (ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and "\n" not in node.value:
                assert not re.search(rf"\b({'|'.join(names)})\b", node.value), f"{path}:{node.lineno}"
