"""The digest of a checkpoint, and the check of its contract."""

import json
from pathlib import Path

import pytest

from service.models.checkpoint import check_contract, checkpoint_digest
from tests.support.inspections import TOWER_LIGHT, copy_of_default, inspections
from vqc.contract import MANIFEST, contract_digests
from vqc.errors import InvalidValue


def test_the_digest_changes_with_any_byte_and_any_name(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"abc")
    first = checkpoint_digest(tmp_path)
    assert checkpoint_digest(tmp_path) == first
    (tmp_path / "model.safetensors").write_bytes(b"abd")
    second = checkpoint_digest(tmp_path)
    (tmp_path / "model.safetensors").rename(tmp_path / "weights.safetensors")
    assert len({first, second, checkpoint_digest(tmp_path)}) == 3


def test_a_checkpoint_of_this_contract_or_of_unknown_origin_is_served(tmp_path):
    check_contract(tmp_path)
    (tmp_path / MANIFEST).write_text(json.dumps({"contract": contract_digests() | {"chat_template": "x"}}))
    check_contract(tmp_path)


def test_the_shipped_model_is_served_although_its_grammar_is_spelled_differently():
    shipped = Path(__file__).parents[4] / "deploy" / "demo" / "model"
    assert json.loads((shipped / MANIFEST).read_text("utf-8"))["contract"]["grammar"] != contract_digests()["grammar"]
    assert check_contract(shipped) == frozenset()


def test_the_shipped_model_serves_an_eighth_mission_and_names_it_as_untrained(tmp_path):
    shipped = Path(__file__).parents[4] / "deploy" / "demo" / "model"
    with inspections(copy_of_default(tmp_path / "own", further=TOWER_LIGHT)):
        assert check_contract(shipped) == {"塔灯检查"}


@pytest.mark.parametrize("part", [part for part in contract_digests() if not part.startswith("mission/")])
def test_a_checkpoint_of_another_contract_is_rejected_by_name(tmp_path, part):
    (tmp_path / MANIFEST).write_text(json.dumps({"contract": contract_digests() | {part: "other"}}))
    with pytest.raises(InvalidValue, match=f"this version's {part};"):
        check_contract(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"contract": 3}'])
def test_a_broken_manifest_is_rejected(tmp_path, text):
    (tmp_path / MANIFEST).write_text(text)
    with pytest.raises(InvalidValue, match="manifest"):
        check_contract(tmp_path)
