"""Adapters that vLLM can serve unmerged, and those that must be merged first."""

import json
from itertools import pairwise
from pathlib import Path

import pytest

from engine.adapter import is_adapter, read_adapter
from engine.profile import EngineSettings, vllm_command
from vqc.errors import InvalidValue

PLAIN = {"peft_type": "LORA", "r": 8, "lora_alpha": 16, "base_model_name_or_path": "/models/base", "bias": "none"}


def written(directory, **changes):
    (directory / "adapter_config.json").write_text(json.dumps(PLAIN | changes), "utf-8")
    return directory


def test_the_engine_is_told_of_the_adapter_the_tower_and_the_rank(tmp_path):
    adapter = read_adapter(written(tmp_path, rank_pattern={"q_proj": 24}))
    words = vllm_command(
        EngineSettings(model=Path("/models/base"), adapter=adapter, served_name="champion"), tmp_path / "s"
    )
    flags = dict(pairwise(words))
    assert flags["--max-lora-rank"] == "32"
    assert json.loads(flags["--lora-modules"]) == {"name": "champion", "path": str(tmp_path)}
    assert flags["--served-model-name"] == "champion-base"
    assert {"--enable-lora", "--enable-tower-connector-lora"} <= {*words}


def test_a_whole_model_gets_no_adapter_flags(tmp_path):
    assert not is_adapter(tmp_path)
    assert not [word for word in vllm_command(EngineSettings(model=tmp_path), tmp_path / "s") if "lora" in word]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"modules_to_save": ["visual.merger"]}, "modules_to_save (visual.merger); merge it"),
        ({"use_dora": True}, "DoRA"),
        ({"peft_type": "BOFT"}, "type BOFT"),
        ({"bias": "all"}, "biases"),
        ({"init_lora_weights": "pissa"}, "'pissa' changed the base weights"),
        ({"r": 513}, "rank 513 is above 512"),
    ],
)
def test_what_vllm_would_ignore_or_refuse_must_be_merged(tmp_path, changes, reason):
    with pytest.raises(InvalidValue, match="vqc-train export") as refused:
        read_adapter(written(tmp_path, **changes))
    assert reason in str(refused.value)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"r": "x", "base_model_name_or_path": "b"}'])
def test_a_configuration_that_is_none_is_named(tmp_path, text):
    (tmp_path / "adapter_config.json").write_text(text)
    with pytest.raises(InvalidValue, match=r"adapter_config\.json"):
        read_adapter(tmp_path)
