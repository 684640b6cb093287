"""The smallest network, in float32: loaded, its samples of every task, its gradients."""

from __future__ import annotations

from pathlib import Path

import torch

from tests.support import tiny
from trainer.model import network
from trainer.model.collate import ModelFacts
from trainer.model.encode import Encoder
from vqc.missions import missions
from vqc.prompts import dense_prompt, stage_a_prompt, stage_b_prompt


def load(checkpoint: Path, encoder: Encoder, **options) -> network.Qwen3VLForConditionalGeneration:
    options = {"dtype": torch.float32, "attn_impl": "sdpa", **options}
    return network.load(checkpoint, pixel_table=encoder.pixels.table_CV, **options)


ANSWER = '{"object_1": {"bbox_2d": [1, 20, 300, 1000], "desc": "BBU设备/华为"}}'
SIZES = [(96, 64), (20, 30), (400, 300), (65, 63)]
"""Below, under, over and beside the processor's pixel limits (64² to 160²)."""


def samples() -> list[tiny.Sample]:
    mission = next(iter(missions().values()))
    photos = [tiny.photo(*size, seed=number) for number, size in enumerate(SIZES)]
    return [
        tiny.Sample(dense_prompt(), photos[:1], ANSWER),
        tiny.Sample(stage_a_prompt(mission), photos[1:2], "BBU设备×1，标签×2"),
        tiny.Sample(stage_b_prompt(mission, ["BBU设备×1"]), (), "通过\n理由: 齐全"),
        tiny.Sample(stage_b_prompt(mission), photos[2:], "不通过\n理由: 缺少标签"),
    ]


def model(checkpoint: Path, encoder: Encoder, attn_impl: str = "sdpa") -> network.Qwen3VLForConditionalGeneration:
    return load(checkpoint, encoder, attn_impl=attn_impl).train()


def facts(encoder: Encoder, of: network.Qwen3VLForConditionalGeneration) -> ModelFacts:
    return of.facts(encoder.pad_token)


def gradients(of: torch.nn.Module) -> dict[str, torch.Tensor]:
    found = {name: p.grad.clone() for name, p in of.named_parameters() if p.grad is not None}
    of.zero_grad()
    return found
