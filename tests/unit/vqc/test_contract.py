"""What a checkpoint was trained under: changed prompts are refused, missions that it has not seen are named."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.inspections import TOWER_LIGHT, copy_of_default, inspections
from vqc.contract import MANIFEST, contract_digests, current_form, differing_parts, trained_digests, untrained_missions
from vqc.missions import missions

ROOT = Path(__file__).parents[3]
BEFORE = {
    "prompts": "c269bb0ab184faf24503acf9f57bb13975f387fa86e58c2a1d9bc9a4d8602391",
    "caption_codec": "8e3ad24979adfeb7f0bc2ea2119f0bf492b7f2ec726c469f88952115cae8187e",
    "grammar": "bb4a866c1ba115a3022e2d6edbc8e6d8e715ae84c1bc2aa39041faebbc307b4a",
    "image_policy": "1707fb07bb5f7b5f3916b1609d0acb5c56c0386506d4a33bddfcaa52d280a405",
    "lines": "9dd3c5334d217e9ea7665bd4271aac357b8a29f1c1c1955ade7c4657b96a00db",
}
"""The contract of every checkpoint that was exported before inspections were data."""


def test_a_contract_of_before_stays_valid():
    assert json.loads((ROOT / "deploy/demo/model" / MANIFEST).read_text("utf-8"))["contract"].items() >= BEFORE.items()
    assert differing_parts(BEFORE) == []
    assert untrained_missions(BEFORE) == frozenset()
    assert current_form(BEFORE).items() >= {k: v for k, v in contract_digests().items() if "/" in k}.items()


def test_key_items_are_no_part_of_the_contract(tmp_path):
    own = copy_of_default(tmp_path / "own")
    path = own / "missions.yaml"
    path.write_text(path.read_text("utf-8").replace("未拧紧, 生锈, 松动", "未拧紧, 松动"), "utf-8")
    with inspections(own):
        assert untrained_missions(BEFORE) == frozenset()


def test_a_mission_that_was_not_seen_does_not_refuse_the_checkpoint(tmp_path):
    with inspections(copy_of_default(tmp_path / "own", further=TOWER_LIGHT)):
        for trained in (BEFORE, trained_digests([name for name in missions() if name != "塔灯检查"])):
            assert differing_parts(trained) == []
            assert untrained_missions(trained) == {"塔灯检查"}
        assert untrained_missions(contract_digests()) == frozenset()


def test_a_changed_mission_counts_as_not_seen(tmp_path):
    own = copy_of_default(tmp_path / "own")
    path = own / "missions.yaml"
    path.write_text(path.read_text("utf-8").replace("电线是否捆扎整齐", "电线是否绑好"), "utf-8")
    with inspections(own):
        assert differing_parts(BEFORE) == []
        assert untrained_missions(BEFORE) == {"BBU接地线检查"}


def test_a_copy_under_another_name_is_the_same_to_a_checkpoint(tmp_path):
    current = contract_digests()
    with inspections(copy_of_default(tmp_path / "own", name="acme", further=TOWER_LIGHT)):
        for trained in (BEFORE, current):
            assert differing_parts(trained) == []
            assert untrained_missions(trained) == {"塔灯检查"}


def test_changed_prompts_refuse_the_checkpoint(tmp_path):
    own = copy_of_default(tmp_path / "own")
    path = own / "prompts.yaml"
    path.write_text(path.read_text("utf-8").replace("请概括这张图片。", "概括图片。"), "utf-8")
    current = contract_digests()
    with inspections(own):
        for trained in (BEFORE, current):
            assert differing_parts(trained) == ["prompts/telecom"]
        assert differing_parts(BEFORE | {"prompts": "0" * 64}) == ["prompts"]


def test_an_inspection_that_was_not_seen_is_served_untrained(tmp_path):
    other = copy_of_default(tmp_path / "other", name="other")
    (other / "missions.yaml").write_text(TOWER_LIGHT, "utf-8")
    current = contract_digests()
    with inspections(copy_of_default(tmp_path / "own"), other):
        assert differing_parts(current) == []
        assert untrained_missions(current) == {"塔灯检查"}
