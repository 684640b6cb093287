"""Which checkpoints a run may start from: Qwen3-VL's, and no other that transformers would load as one."""

import json
from pathlib import Path

import pytest

from trainer.training.provenance import local_directory
from vqc.errors import InvalidValue


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model_type": "qwen3_vl_moe"}, "'qwen3_vl_moe'"),
        ({"model_type": "qwen2_5_vl"}, "'qwen2_5_vl'"),
        ({}, "None"),
        ([], "not a JSON object"),
    ],
)
def test_a_checkpoint_of_another_family_is_refused_before_it_is_loaded(tmp_path: Path, config: object, message: str):
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(InvalidValue, match=message):
        local_directory(tmp_path)


def test_a_checkpoint_of_the_family_is_taken(tiny_checkpoint: Path):
    assert local_directory(tiny_checkpoint) == tiny_checkpoint
