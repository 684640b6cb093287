"""The tiny checkpoint is complete, small and the same for a seed; its tokenizer keeps its promises."""

from __future__ import annotations

import json
from hashlib import sha256
from math import isqrt
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch.nn.functional import cosine_similarity
from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

from trainer.tiny_checkpoint import SIZES, Architecture, _model_config, build_tiny_checkpoint
from trainer.tiny_corpus import domain_corpus
from trainer.tiny_tokenizer import MARKUP_TOKENS, SPECIAL_TOKENS, train_tokenizer
from vqc.prompts import dense_prompt

FILES = {
    "chat_template.jinja",
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "preprocessor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "video_preprocessor_config.json",
}


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer(domain_corpus())


@pytest.mark.parametrize("number", [0, 1, 9, 10, 37, 110, 999, 1000])
def test_a_coordinate_is_one_token_whose_id_is_its_value(tokenizer: Tokenizer, number: int) -> None:
    assert tokenizer.encode(str(number)).ids == [number]
    assert tokenizer.decode([number]) == str(number)


def test_every_coordinate_of_a_caption_is_one_token(tokenizer: Tokenizer) -> None:
    assert tokenizer.encode(", ".join(map(str, range(1001)))).ids[::2] == list(range(1001))


@given(text=st.text() | st.from_regex(r"[0-9]{1,9}[ ,a光]{0,2}[0-9]{0,9}", fullmatch=True))
def test_text_survives_byte_for_byte(tokenizer: Tokenizer, text: str) -> None:
    assert tokenizer.decode(tokenizer.encode(text).ids, skip_special_tokens=False) == text


def test_the_domain_s_lines_take_few_tokens(tokenizer: Tokenizer) -> None:
    assert len(tokenizer.encode("BBU设备×1，光模块×3，线缆×2").ids) == 11
    assert len(tokenizer.encode('{"object_1": {"bbox_2d": [1, 2, 3, 4], "desc": "光纤/有保护措施"}}').ids) == 20


def test_the_special_tokens_are_qwen_s(tokenizer: Tokenizer) -> None:
    assert len(SPECIAL_TOKENS + MARKUP_TOKENS) == 26
    for token in SPECIAL_TOKENS + MARKUP_TOKENS:
        assert len(tokenizer.encode(token).ids) == 1


def test_the_directory_is_complete_and_small(tiny_checkpoint: Path) -> None:
    assert {path.name for path in tiny_checkpoint.iterdir()} == FILES
    assert (tiny_checkpoint / "model.safetensors").stat().st_size <= 20_000_000  # 10 M parameters in bfloat16


def test_the_same_seed_writes_the_same_bytes(tiny_checkpoint: Path, tmp_path: Path) -> None:
    again = build_tiny_checkpoint(tmp_path / "again")
    other = build_tiny_checkpoint(tmp_path / "other", seed=1)
    for name in FILES:
        assert _digest(again / name) == _digest(tiny_checkpoint / name), name
    assert _digest(other / "model.safetensors") != _digest(tiny_checkpoint / "model.safetensors")


def test_a_directory_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "note").write_text("mine")
    with pytest.raises(FileExistsError):
        build_tiny_checkpoint(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["note"]


def test_a_failed_build_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        build_tiny_checkpoint(tmp_path / "out", architecture=Architecture(text_kv_heads=0))
    assert not list(tmp_path.iterdir())


def test_transformers_opens_it_and_answers(tiny_checkpoint: Path) -> None:
    import torch
    from PIL import Image
    from transformers import AutoModelForImageTextToText, AutoProcessor

    processor = AutoProcessor.from_pretrained(tiny_checkpoint)
    model = AutoModelForImageTextToText.from_pretrained(tiny_checkpoint)
    assert model.dtype is torch.bfloat16
    assert model.num_parameters() <= 10_000_000
    prompt = dense_prompt()
    inputs = processor.apply_chat_template(
        prompt.messages([Image.new("RGB", (512, 384), "gray")]),
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
    )
    text = processor.decode(inputs["input_ids"][0])
    photo = "<|vision_start|>" + "<|image_pad|>" * (16 * 12) + "<|vision_end|>"
    assert text == (
        f"<|im_start|>system\n{prompt.system}<|im_end|>\n"
        f"<|im_start|>user\n{photo}{prompt.after}<|im_end|>\n<|im_start|>assistant\n"
    )
    answer = model.generate(**inputs, max_new_tokens=2, do_sample=False)
    assert answer.shape[1] == inputs["input_ids"].shape[1] + 2


def test_transformers_keeps_the_file_s_own_splitting(tiny_checkpoint: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_checkpoint)
    assert tokenizer("37")["input_ids"] == [37]
    assert tokenizer.eos_token == "<|im_end|>"


def test_the_architecture_sets_the_sizes(tmp_path: Path) -> None:
    out = build_tiny_checkpoint(
        tmp_path / "out", architecture=Architecture(text_layers=3, vision_width=64, head_dim=64, max_pixels=262_144)
    )
    config = json.loads((out / "config.json").read_text())
    assert config["text_config"]["num_hidden_layers"] == 3
    assert config["text_config"]["rope_parameters"]["mrope_section"] == [12, 10, 10]
    assert config["vision_config"]["hidden_size"] == 64
    assert json.loads((out / "preprocessor_config.json").read_text())["size"]["longest_edge"] == 262_144


def _digest(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()


def test_numbers_and_places_begin_in_order(tmp_path: Path) -> None:
    weights = load_file(build_tiny_checkpoint(tmp_path / "tiny") / "model.safetensors")
    numbers = weights["model.language_model.embed_tokens.weight"].float()
    likeness = cosine_similarity(numbers[500], numbers[[501, 510, 900]])
    assert likeness[0] > likeness[1] > likeness[2]
    places = weights["model.visual.pos_embed.weight"].float()
    side, half = isqrt(len(places)), places.shape[1] // 2
    assert (places[0] - places[1]).norm() < (places[0] - places[side // 2]).norm()
    assert torch.equal(places[0, half:], places[side, half:]), "one column, one half"
    assert torch.equal(places[0, :half], places[1, :half]), "one row, the other"


def test_the_4b_size_is_the_real_models(tiny_checkpoint: Path) -> None:
    tokenizer = Tokenizer.from_file(str(tiny_checkpoint / "tokenizer.json"))
    config = Qwen3VLConfig.from_dict(_model_config(SIZES["4b"], tokenizer))
    with torch.device("meta"):
        model = Qwen3VLForConditionalGeneration(config)
    linear = [m for m in model.model.language_model.modules() if isinstance(m, torch.nn.Linear)]
    assert sum(module.weight.numel() for module in linear) == 36 * (2560 * (32 + 8 + 8 + 32) * 128 + 3 * 2560 * 9728)
    assert sum(parameter.numel() for parameter in model.parameters()) == pytest.approx(4.44e9, rel=0.005)
    assert model.get_input_embeddings().weight.shape == (151_936, 2560)
