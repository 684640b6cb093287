"""Checkpoints without weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from loadtest.targets.dummy_checkpoint import SIZES, VOCABULARY, write_dummy_checkpoint
from vqc.errors import InvalidValue

DEMO = Path(__file__).parents[4] / "deploy" / "demo" / "model"


@pytest.mark.parametrize("size", SIZES)
def test_a_dummy_has_a_tokenizer_for_every_id_and_no_weights(size: str, tmp_path: Path) -> None:
    out = write_dummy_checkpoint(DEMO, tmp_path / size, size)
    names = {path.name for path in out.iterdir()}
    assert {"config.json", "tokenizer.json", "preprocessor_config.json", "chat_template.jinja"} <= names
    assert not {name for name in names if "safetensors" in name or "manifest" in name}
    tokenizer, config = (json.loads((out / name).read_text("utf-8")) for name in ("tokenizer.json", "config.json"))
    added = {token["content"]: token["id"] for token in tokenizer["added_tokens"]}
    known = {*tokenizer["model"]["vocab"].values(), *added.values()}
    assert known >= set(range(VOCABULARY))
    processor = json.loads((out / "preprocessor_config.json").read_text("utf-8"))
    assert processor["size"] == {"shortest_edge": 65_536, "longest_edge": 1024 * 768}
    assert config["image_token_id"] == added["<|image_pad|>"]
    assert config["vision_config"]["out_hidden_size"] == config["text_config"]["hidden_size"] == SIZES[size].hidden


def test_transformers_takes_the_config_for_a_qwen3_vl(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.AutoConfig.from_pretrained(write_dummy_checkpoint(DEMO, tmp_path / "4b", "4b"))
    assert type(config).__name__ == "Qwen3VLConfig"
    assert (config.text_config.num_hidden_layers, config.vision_config.depth) == (36, 24)


def test_a_dummys_tokenizer_gives_images_the_number_that_its_config_says(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    out = write_dummy_checkpoint(DEMO, tmp_path / "4b", "4b")
    config, tokenizer = (kind.from_pretrained(out) for kind in (transformers.AutoConfig, transformers.AutoTokenizer))
    assert tokenizer.convert_tokens_to_ids("<|image_pad|>") == config.image_token_id
    assert tokenizer.convert_tokens_to_ids("<|im_end|>") == config.text_config.eos_token_id
    assert len(tokenizer) == VOCABULARY


def test_an_impossible_dummy_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match="valid: 2b, 4b, 8b"):
        write_dummy_checkpoint(DEMO, tmp_path / "x", "3b")
    with pytest.raises(InvalidValue, match="must be a Qwen3-VL checkpoint directory"):
        write_dummy_checkpoint(tmp_path, tmp_path / "x", "2b")
