"""The formula against PyTorch's own count of what it did."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from tests.support import tiny
from trainer.model import network, tuners
from trainer.model.collate import pack_samples, pad_samples
from trainer.model.encode import Encoder
from trainer.training.flops import Work, training_flops
from trainer.training.measure import work_of
from vqc.prompts import dense_prompt

pytestmark = pytest.mark.filterwarnings("ignore:.*:DeprecationWarning", "ignore:.*:UserWarning:torch.*")
ANSWER = '{"object_1": {"bbox_2d": [1, 20, 300, 1000], "desc": "BBU设备/华为"}}'


@pytest.mark.parametrize(
    "tuner",
    [
        {"tuner_type": "full", "freeze_vit": False},
        {"lora_rank": 4, "lora_dropout": 0.0},
        {"tuner_type": "full", "freeze_llm": True},
    ],
    ids=["full", "lora", "aligner"],
)
def test_the_formula_is_what_pytorch_counts(checkpoint: Path, tmp_path: Path, tuner: dict[str, object]):
    encoder = Encoder.load(checkpoint)
    net = network.load(checkpoint, dtype=torch.float32, attn_impl="eager", pixel_table=encoder.pixels.table_CV)
    model = tuners.apply_tuner(net, tiny.config(checkpoint, tmp_path, tmp_path, tuner=tuner).tuner).train()
    sample = encoder.encode(tiny.Sample(dense_prompt(), [tiny.photo(128, 96)], ANSWER))
    batch = pack_samples([sample], net.facts(encoder.pad_token))
    with FlopCounterMode(display=False) as counter:
        model(**{name: value for name, value in batch.items() if not name.startswith("num_")}).loss.backward()
    work = work_of(batch)
    text = net.config.text_config
    # Eager attention computes what causality hides; the formula does not count it.
    hidden = 2 * 3 * text.num_hidden_layers * text.num_attention_heads * text.head_dim * work.tokens_squared
    # A trained head computes its logits again in backward instead of keeping them.
    again = 2 * net.lm_head.weight.numel() * work.supervised * net.lm_head.weight.requires_grad
    assert training_flops(model, work) + hidden + again == pytest.approx(counter.get_total_flops(), rel=0.02)


def test_a_padded_batch_holds_the_work_of_a_packed_one(checkpoint: Path):
    encoder = Encoder.load(checkpoint)
    net = network.load(checkpoint, dtype=torch.float32, attn_impl="sdpa", pixel_table=encoder.pixels.table_CV)
    photos = [[tiny.photo(128, 96)], [tiny.photo(64, 96)], []]
    samples = [encoder.encode(tiny.Sample(dense_prompt(), images, ANSWER)) for images in photos]
    facts = net.facts(encoder.pad_token)
    assert work_of(pad_samples(samples, facts)) == work_of(pack_samples(samples, facts))
    assert sum((work_of(pack_samples([sample], facts)) for sample in samples), start=Work()) == work_of(
        pack_samples(samples, facts)
    )
