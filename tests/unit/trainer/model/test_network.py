import json
from pathlib import Path

import pytest
import torch

from tests.support import tiny
from tests.support.networks import load
from trainer.model import network
from trainer.model.collate import pack_samples
from trainer.model.encode import Encoder
from vqc.errors import InvalidValue
from vqc.missions import missions
from vqc.prompts import dense_prompt, stage_b_prompt


@pytest.fixture(scope="module")
def encoder(checkpoint: Path) -> Encoder:
    return Encoder.load(checkpoint)


def batch_of(model, encoder: Encoder):
    mission = next(iter(missions().values()))
    samples = [
        tiny.Sample(dense_prompt(), [tiny.photo(96, 64)], '{"object_1": {"bbox_2d": [1, 2, 3, 4], "desc": "标签"}}'),
        tiny.Sample(stage_b_prompt(mission, ["标签×1"]), (), "通过\n理由: 齐全"),
    ]
    return pack_samples([encoder.encode(sample) for sample in samples], model.facts(encoder.pad_token))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("attn_impl", ["sdpa", "varlen"])
def test_autocast_over_either_precision_of_weights(checkpoint: Path, encoder: Encoder, attn_impl, dtype):
    exact = load(checkpoint, encoder)
    wanted = exact(**batch_of(exact, encoder)).loss.item()
    model = load(checkpoint, encoder, attn_impl=attn_impl, dtype=dtype).train()
    with torch.autocast("cpu", torch.bfloat16):
        output = model(**batch_of(model, encoder))
    output.loss.backward()
    assert output.loss.dtype is torch.float32
    assert output.loss.item() == pytest.approx(wanted, abs=0.03)
    assert {p.grad.dtype for p in model.parameters() if p.grad is not None} == {dtype}


def test_flash_attention_without_its_package_is_refused_before_anything_loads(monkeypatch):
    monkeypatch.setattr(network, "is_flash_attn_2_available", lambda: False)
    with pytest.raises(InvalidValue, match="flash-attn"):
        network.attention_implementation("flash_attention_2", packing=False)


def test_a_text_only_batch_needs_no_vision(checkpoint: Path, encoder: Encoder):
    model = load(checkpoint, encoder)
    mission = next(iter(missions().values()))
    sample = tiny.Sample(stage_b_prompt(mission, ["标签×1"]), (), "通过\n理由: 齐全")
    model(**pack_samples([encoder.encode(sample)], model.facts(encoder.pad_token))).loss.backward()
    assert all(p.grad is None for p in model.model.visual.parameters())


def test_what_is_saved_opens_everywhere(checkpoint: Path, encoder: Encoder, tmp_path: Path):
    load(checkpoint, encoder, attn_impl="varlen").save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text("utf-8"))
    assert config["architectures"] == ["Qwen3VLForConditionalGeneration"]
    assert "varlen" not in json.dumps(config)


def test_an_old_transformers_is_refused(monkeypatch):
    def forward(self, input_ids=None, **kwargs): ...

    monkeypatch.setattr(network.upstream.Qwen3VLModel, "forward", forward)
    with pytest.raises(network.UnsupportedTransformers, match=r"install 5\.18 or later"):
        network._check_transformers()


def test_attention_is_chosen_by_device_and_packing():
    assert network.attention_implementation("eager", packing=True) == "eager"
    assert network.attention_implementation("auto", packing=False) == "sdpa"
