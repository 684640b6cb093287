"""Liger's kernels change no number beyond rounding. They need a GPU; CONTRIBUTING says how to run this on a bare one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers.models.qwen3_vl import modeling_qwen3_vl as upstream

from tests.support import tiny
from trainer.config import TunerSection
from trainer.model import network, tuners
from trainer.model.collate import Collator, model_inputs
from trainer.model.distillation import DistillationBatch, FeatureTarget, Objective, TeacherRequest
from trainer.model.encode import Encoder
from trainer.model.liger import use_liger_kernels
from trainer.model.targets import HiddenTargets
from trainer.objectives.divergence import JensenShannon
from trainer.training.samples import to_device
from trainer.training.teacher import AdapterOffTeacher
from vqc.missions import missions
from vqc.prompts import dense_prompt, stage_b_prompt

pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="Liger's kernels need a GPU"),
    pytest.mark.skipif(find_spec("liger_kernel") is None, reason="needs the package liger-kernel (the extra `liger`)"),
]
OBJECTIVE = Objective(
    jsd=JensenShannon(beta=0.3, temperature=1.5), sft_weight=0.7, llm_weight=2.0,
    merger=FeatureTarget(weight=0.5, distance="cosine"), deepstack=FeatureTarget(weight=0.2, distance="mse"),
)  # fmt: skip
LOSS_FLOAT32, GRADIENT_FLOAT32 = 1e-5, 1e-3
"""Largest relative distances of the loss, and of all gradients as one vector, in float32."""

ROUNDING = 2.0
"""In bfloat16 Liger may be so many times as far from float32 as the plain kernels are."""

Learnt = tuple[float, torch.Tensor]
"""A loss, and the gradients of everything that is trained as one vector."""


@pytest.fixture(scope="module")
def model_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.checkpoint(tmp_path_factory.mktemp("model") / "tiny")


@contextmanager
def plain_afterwards() -> Iterator[None]:
    """Liger puts its rotary positions and norms into the module of all models; here they are taken out again."""
    names = ("apply_rotary_pos_emb", "apply_rotary_pos_emb_vision", "Qwen3VLTextRMSNorm")
    before = {name: getattr(upstream, name) for name in names}
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(upstream, name, value)


def samples() -> list[tiny.Sample]:
    """With and without photos."""
    mission = next(iter(missions().values()))
    return [
        tiny.Sample(dense_prompt(), [tiny.photo(96, 64)], '{"object_1": {"bbox_2d": [1, 2, 3, 4], "desc": "标签"}}'),
        tiny.Sample(dense_prompt(), [tiny.photo(128, 128, 1)], '{"object_1": {}}'),
        tiny.Sample(stage_b_prompt(mission, ["标签×1"]), (), "通过\n理由: 齐全"),
        tiny.Sample(stage_b_prompt(mission), [tiny.photo(64, 64, 2), tiny.photo(128, 96, 3)], "不通过\n理由: 模糊"),
    ]


@plain_afterwards()
def learnt(
    directory: Path, read: list[tiny.Sample], *, liger: bool, dtype: torch.dtype, packing: bool, taught: bool
) -> Learnt:
    """What one step learns of these samples: a LoRA over all towers that has left its identity."""
    encoder = Encoder.load(directory)
    net: Any = network.load(directory, dtype=dtype, attn_impl="sdpa", pixel_table=encoder.pixels.table_CV)
    if liger:
        use_liger_kernels(net)
    net.objective = OBJECTIVE if taught else None
    tuner = TunerSection(lora_rank=8, lora_dropout=0.0, freeze_aligner=False, freeze_vit=False)
    torch.manual_seed(0)
    model = tuners.apply_tuner(net, tuner, masters=True)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.05)
    model.train().to("cuda")
    collator = Collator(facts=net.facts(encoder.pad_token), row=packing)
    inputs = model_inputs(to_device(collator([encoder.encode(sample) for sample in read]), torch.device("cuda")))
    with torch.autocast("cuda", torch.bfloat16, enabled=dtype is torch.bfloat16):
        if taught:
            teacher = AdapterOffTeacher(model)
            said = teacher.run(model, inputs, TeacherRequest(text=True, features=True))
            assert said.hidden_SD is not None
            targets = HiddenTargets(hidden_SD=said.hidden_SD, head=teacher.head, jsd=OBJECTIVE.jsd)
            inputs["distillation"] = DistillationBatch(targets=targets, features=said.features)
        loss = model(**inputs).loss
    loss.backward()
    gradients = [p.grad.float().flatten() for p in model.parameters() if p.grad is not None]
    return loss.item(), torch.cat(gradients)


def apart(one: Learnt, other: Learnt) -> tuple[float, float]:
    """Relative distances of the losses and of the gradients."""
    return abs(one[0] - other[0]) / abs(other[0]), float((one[1] - other[1]).norm() / other[1].norm())


@pytest.mark.parametrize("packing", [False, True], ids=["padded", "packed"])
@pytest.mark.parametrize("taught", [False, True], ids=["sft", "gkd"])
def test_liger_learns_the_same(model_directory: Path, packing: bool, taught: bool):
    read = samples()

    def both(dtype: torch.dtype) -> tuple[Learnt, Learnt]:
        plain = learnt(model_directory, read, liger=False, dtype=dtype, packing=packing, taught=taught)
        return plain, learnt(model_directory, read, liger=True, dtype=dtype, packing=packing, taught=taught)

    half, half_liger = both(torch.bfloat16)
    true, liger = both(torch.float32)
    loss, gradient = apart(liger, true)
    print(f"float32: loss {loss:.1e}, gradients {gradient:.1e}")
    assert loss < LOSS_FLOAT32
    assert gradient < GRADIENT_FLOAT32
    rounding, with_liger = apart(half, true), apart(half_liger, true)
    print(f"bfloat16: plain {rounding[0]:.1e}, {rounding[1]:.1e}; Liger {with_liger[0]:.1e}, {with_liger[1]:.1e}")
    assert with_liger[0] < max(ROUNDING * rounding[0], 2e-3)
    assert with_liger[1] < ROUNDING * rounding[1]
