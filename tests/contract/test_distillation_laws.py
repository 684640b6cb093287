"""Distillation's laws on the smallest model there is. Each is exact up to the order of floating-point sums."""

from __future__ import annotations

import json
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch._dynamo.backends.debugging import aot_eager

from tests.support import ranks, tiny
from tests.support.divergence import reference
from tests.support.networks import facts, gradients, model, samples
from trainer.config import TrainConfig, config_from
from trainer.model import direct_loss, network, tuners
from trainer.model.collate import pack_samples, pad_samples
from trainer.model.distillation import DistillationBatch, FeatureTarget, Objective, TeacherRequest
from trainer.model.encode import IGNORED, Encoder
from trainer.model.targets import HiddenTargets
from trainer.objectives.divergence import JensenShannon
from trainer.training.run import run
from trainer.training.teacher import AdapterOffTeacher, CopiedTeacher

pytestmark = pytest.mark.filterwarnings("ignore:.*:DeprecationWarning", "ignore:.*:UserWarning:torch.*")
OBJECTIVE = Objective(
    jsd=JensenShannon(beta=0.3, temperature=1.5), sft_weight=0.7, llm_weight=2.0,
    merger=FeatureTarget(weight=0.5, distance="cosine"), deepstack=FeatureTarget(weight=0.2, distance="mse"),
)  # fmt: skip
GKD: dict[str, Any] = {"rlhf_type": "gkd", "beta": 0.1, "sft_alpha": 0.5, "llm_kd_weight": 3.0}
VISUAL: dict[str, Any] = {"weight": 0.2}


def config(
    checkpoint: Path, jsonl: Path, out: Path, *, rlhf: dict[str, Any], visual: dict[str, Any] | None = None, **rest: Any
) -> TrainConfig:
    tree = tiny.config(checkpoint, jsonl, out, **{"learning_rate": 1e-3, **rest}).model_dump(exclude_unset=True)
    tree["rlhf"] = rlhf
    if visual is not None:
        tree["custom"]["visual_kd"] = visual
    return config_from(tree)


def logged(out: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (out / "logging.jsonl").read_text("utf-8").splitlines()]
    return [line for line in lines if "train/loss" in line]


def losses(out: Path) -> list[float]:
    """Every loss and part of a loss, in order."""
    parts = ("train/loss", "train/sft_loss", "train/llm_kd_loss", "train/vision_kd_loss")
    return [line[name] for line in logged(out) for name in parts if name in line]


def drifted(checkpoint: Path, encoder: Encoder) -> Any:
    """A student that has moved away from the checkpoint, its vision encoder's blocks excepted."""
    student = model(checkpoint, encoder)
    torch.manual_seed(1)
    with torch.no_grad():
        for name, parameter in student.named_parameters():
            if ".blocks." not in name and "patch_embed" not in name and "pos_embed" not in name:
                parameter += 0.3 * parameter.std() * torch.randn_like(parameter) if parameter.numel() > 1 else 0
    student.objective = OBJECTIVE
    return student


def distillation(teacher: Any, batch: dict[str, Any], *, shares_trunk: bool = True) -> DistillationBatch:
    with torch.no_grad():
        answered = teacher(**batch, teacher_request=TeacherRequest(text=True, features=True))
    return DistillationBatch(
        targets=HiddenTargets(hidden_SD=answered.hidden_SD, head=teacher.lm_head, jsd=OBJECTIVE.jsd),
        features=answered.features,
        trunk=answered.trunk if shares_trunk else None,
    )


def test_the_loss_is_the_formulas(checkpoint: Path, encoder: Encoder):
    student, teacher = drifted(checkpoint, encoder), model(checkpoint, encoder).eval()
    for net in (student, teacher):
        net.lm_head.weight.data *= 30  # fresh weights say nearly the same of every token
    batch = pad_samples([encoder.encode(sample) for sample in samples()], facts(encoder, student))
    output = student(**batch, distillation=distillation(teacher, batch))
    logits = []
    for net in (student, teacher):
        hidden = net._hidden_states(batch["input_ids"], net._features(batch, None), batch)
        logits.append(net.lm_head(hidden)[:, :-1][batch["labels"][:, 1:] != IGNORED].detach().double().numpy())
    labels = batch["labels"][:, 1:][batch["labels"][:, 1:] != IGNORED].numpy()
    shifted = logits[0] - logits[0].max(-1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    entropy = -log_p[np.arange(len(labels)), labels].mean()
    divergence = reference(logits[0], logits[1], 0.3, 1.5).mean()
    with torch.no_grad():
        ours, its = (net._features(batch, None) for net in (student, teacher))
    assert ours is not None
    assert its is not None
    cosine = 1 - torch.cosine_similarity(ours.merged_MD.double(), its.merged_MD.double(), dim=-1).mean()
    layers = zip(ours.deepstack, its.deepstack, strict=True)
    squares = torch.stack([(a.double() - b.double()).square().mean() for a, b in layers])
    vision = (0.5 * cosine + 0.2 * squares.mean()) / 2
    assert divergence > 1e-3
    assert output.loss.item() == pytest.approx(0.7 * entropy + 2.0 * divergence + vision.item(), rel=2e-6)
    assert output.llm_kd_total.item() / output.distilled_tokens.item() == pytest.approx(2.0 * divergence, rel=1e-5)
    assert output.vision_kd_total.item() / output.image_tokens.item() == pytest.approx(vision.item(), rel=1e-5)


@pytest.mark.parametrize("attn_impl", ["sdpa", "varlen"])
def test_packed_equals_separate(checkpoint: Path, encoder: Encoder, attn_impl: str):
    student, teacher = drifted(checkpoint, encoder), model(checkpoint, encoder, attn_impl).eval()
    if attn_impl == "varlen":
        student.config._attn_implementation = teacher.config._attn_implementation
    encoded = [encoder.encode(sample) for sample in samples()]
    tokens = sum(item.positions for item in encoded)
    images = sum(int((item.input_ids_T == encoder.image_token).sum()) for item in encoded)
    items = {"num_items_in_batch": tokens, "image_items_in_batch": images}
    alone = 0.0
    for item in encoded:
        batch = pack_samples([item], facts(encoder, student))
        loss = student(**batch, **items, distillation=distillation(teacher, batch)).loss
        loss.backward()
        alone += loss.item()
    separate = gradients(student)
    batch = pack_samples(encoded, facts(encoder, student))
    loss = student(**batch, **items, distillation=distillation(teacher, batch)).loss
    loss.backward()
    assert loss.item() == pytest.approx(alone, abs=2e-6)
    together = gradients(student)
    assert separate.keys() == together.keys()
    for name, gradient in separate.items():
        torch.testing.assert_close(together[name], gradient, atol=3e-6, rtol=1e-3, msg=name)


def test_a_shared_trunk_changes_no_number(checkpoint: Path, encoder: Encoder):
    student, teacher = drifted(checkpoint, encoder), model(checkpoint, encoder).eval()
    for name, parameter in student.named_parameters():
        parameter.requires_grad_(".blocks." not in name and "patch_embed" not in name and "pos_embed" not in name)
    batch = pack_samples([encoder.encode(sample) for sample in samples()], facts(encoder, student))
    found = []
    for shares in (True, False):
        loss = student(**batch, distillation=distillation(teacher, batch, shares_trunk=shares)).loss
        loss.backward()
        found.append((loss.item(), gradients(student)))
    assert found[0][0] == found[1][0]
    torch.testing.assert_close(found[0][1], found[1][1], atol=0, rtol=0)


def test_a_text_only_batch_skips_the_vision_term(checkpoint: Path, encoder: Encoder):
    student, teacher = drifted(checkpoint, encoder), model(checkpoint, encoder).eval()
    batch = pack_samples([encoder.encode(samples()[2])], facts(encoder, student))
    output = student(**batch, distillation=distillation(teacher, batch))
    assert output.vision_kd_total is None
    assert output.llm_kd_total > 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["masters", "half"])
def test_the_start_is_exactly_0_in_autocast_too(
    checkpoint: Path, encoder: Encoder, jsonl: Path, tmp_path: Path, dtype: Any
):
    def loaded() -> Any:
        return network.load(checkpoint, dtype=dtype, attn_impl="sdpa", pixel_table=encoder.pixels.table_CV).train()

    net = loaded()
    net.objective = OBJECTIVE
    student = tuners.apply_tuner(net, tiny.config(checkpoint, jsonl, tmp_path).tuner, masters=True)
    batch = pack_samples([encoder.encode(sample) for sample in samples()], facts(encoder, net))
    for teacher in (AdapterOffTeacher(student), CopiedTeacher(loaded(), student, torch.bfloat16)):
        with torch.autocast("cpu", torch.bfloat16):
            said = teacher.run(student, batch, TeacherRequest(text=True, features=True))
            assert said.hidden_SD is not None
            targets = HiddenTargets(hidden_SD=said.hidden_SD, head=teacher.head, jsd=OBJECTIVE.jsd)
            output = student(
                **batch, distillation=DistillationBatch(targets=targets, features=said.features, trunk=said.trunk)
            )
        output.loss.backward()
        assert output.llm_kd_total == output.vision_kd_total == 0
        assert all(p.grad is not None for p in student.parameters() if p.requires_grad)
        student.zero_grad()


@pytest.mark.parametrize(
    ("tuner", "exact"),
    [
        ({"modules_to_save": ["model.visual.deepstack_merger_list.0"]}, True),
        ({"freeze_vit": False, "use_dora": True, "lora_dropout": 0.1}, False),  # another arithmetic, and dropout
    ],
    ids=["lora", "dora"],
)
def test_adapter_off_equals_a_copied_teacher_and_starts_at_exactly_0(
    checkpoint: Path, jsonl: Path, tmp_path: Path, tuner: dict[str, Any], exact: bool
):
    shutil.copytree(checkpoint, tmp_path / "copy")
    for name, teacher in (("off", str(checkpoint)), ("copy", str(tmp_path / "copy"))):
        rlhf = {**GKD, "teacher_model": teacher}
        run(config(checkpoint, jsonl, tmp_path / name, rlhf=rlhf, visual=VISUAL, tuner=tuner, max_steps=3))
    first, *_, last = logged(tmp_path / "off")
    if exact:
        assert first["train/llm_kd_loss"] == 0
        assert first["train/vision_kd_loss"] == 0
    assert last["train/llm_kd_loss"] > 0
    assert last["train/vision_kd_loss"] > 0
    assert losses(tmp_path / "off") == pytest.approx(losses(tmp_path / "copy"), abs=1e-7)


def test_every_weight_trained_beside_a_copied_teacher_starts_at_exactly_0(
    checkpoint: Path, jsonl: Path, tmp_path: Path
):
    full = {"tuner_type": "full", "freeze_vit": False}
    run(config(checkpoint, jsonl, tmp_path, rlhf=GKD, visual=VISUAL, tuner=full, max_steps=2))
    first, second = logged(tmp_path)
    assert first["train/llm_kd_loss"] == first["train/vision_kd_loss"] == 0
    assert second["train/llm_kd_loss"] > 0
    parts = 0.5 * second["train/sft_loss"] + second["train/llm_kd_loss"] + second["train/vision_kd_loss"]
    assert second["train/loss"] == pytest.approx(parts, rel=1e-6)


def test_accumulation_equals_one_batch(checkpoint: Path, jsonl: Path, tmp_path: Path):
    one: dict[str, Any] = {"rlhf": GKD, "visual": VISUAL, "max_steps": 3}
    run(config(checkpoint, jsonl, tmp_path / "a", per_device_train_batch_size=4, **one))
    many = {"per_device_train_batch_size": 1, "gradient_accumulation_steps": 4}
    run(config(checkpoint, jsonl, tmp_path / "b", **many, **one))
    assert losses(tmp_path / "a") == pytest.approx(losses(tmp_path / "b"), abs=3e-6)


def test_two_ranks_equal_one_whole_or_sharded(checkpoint: Path, jsonl: Path, tmp_path: Path):
    options: dict[str, Any] = {"rlhf": GKD, "visual": VISUAL, "max_steps": 3, "per_device_train_batch_size": 2}
    run(config(checkpoint, jsonl, tmp_path / "one", gradient_accumulation_steps=2, **options))
    ways: dict[str, dict[str, Any]] = {"ddp": {}, "fsdp2": {"fsdp": "fsdp2"}}
    for name, sharded in ways.items():
        ranks.run_in_two(config(checkpoint, jsonl, tmp_path / name, **options, **sharded), tmp_path)
        assert losses(tmp_path / name) == pytest.approx(losses(tmp_path / "one"), abs=5e-6)


@pytest.mark.parametrize("tuner", [{}, {"tuner_type": "full"}], ids=["off", "copy"])
def test_compiled_blocks_change_no_number(
    checkpoint: Path, jsonl: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tuner: dict[str, Any]
):
    rlhf = {**GKD, "lmbda": 0.5, "seq_kd": not tuner, "max_completion_length": 6}
    options: dict[str, Any] = {"rlhf": rlhf, "visual": VISUAL, "tuner": tuner, "max_steps": 4}
    run(config(checkpoint, jsonl, tmp_path / "plain", **options))
    calls: list[str] = []

    def traced(graph: Any, inputs: Any) -> Any:  # the graphs, without minutes of C++
        calls.append("graph")
        return aot_eager(graph, inputs)

    compiled = torch.nn.Module.compile
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self, **how: compiled(self, **how, backend=traced))
    monkeypatch.setattr(
        direct_loss, "_compiled_logit_terms", lambda: torch.compile(direct_loss._logit_terms, backend=traced)
    )
    run(config(checkpoint, jsonl, tmp_path / "compiled", torch_compile=True, **options))
    assert calls
    assert losses(tmp_path / "compiled") == pytest.approx(losses(tmp_path / "plain"), abs=1e-6)


@pytest.mark.skipif(
    find_spec("deepspeed") is None, reason="deepspeed is not installed (CONTRIBUTING says how to run this)"
)
@pytest.mark.parametrize(
    ("stage", "tuner", "rlhf"),
    [
        ("zero2", {}, GKD),
        ("zero2", {"tuner_type": "full"}, GKD),
        ("zero2", {}, {**GKD, "lmbda": 0.5, "seq_kd": True, "max_completion_length": 6}),
        ("zero3", {}, GKD),
    ],
    ids=["zero2", "zero2-copy", "zero2-generating", "zero3"],
)
def test_deepspeed_on_two_ranks_equals_one_process(
    checkpoint: Path, jsonl: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    stage: str, tuner: dict[str, Any], rlhf: dict[str, Any],
):  # fmt: skip
    monkeypatch.setenv("DS_ACCELERATOR", "cpu")
    options: dict[str, Any] = {"rlhf": rlhf, "visual": VISUAL, "tuner": tuner, "max_steps": 3}
    options |= {"per_device_train_batch_size": 2}
    one = config(checkpoint, jsonl, tmp_path / "one", gradient_accumulation_steps=2, **options)
    two = config(checkpoint, jsonl, tmp_path / "two", **options).model_dump(exclude_unset=True)
    run(one)
    ranks.run_in_two(config_from({**two, "deepspeed": {"enabled": True, "config": stage}}), tmp_path)
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), abs=5e-6)


@pytest.mark.parametrize(
    "rlhf",
    [GKD, {**GKD, "lmbda": 0.5, "seq_kd": True, "max_completion_length": 6, "temperature": 0.9}],
    ids=["forward", "generating"],
)
def test_resumed_equals_uninterrupted(checkpoint: Path, jsonl: Path, tmp_path: Path, rlhf: dict[str, Any]):
    options: dict[str, Any] = {
        "rlhf": rlhf,
        "visual": VISUAL,
        "max_steps": 6,
        "save_strategy": "steps",
        "save_steps": 3,
    }
    options |= {"packing": True, "longest": 420, "per_device_train_batch_size": 1, "tuner": {"lora_dropout": 0.1}}
    run(config(checkpoint, jsonl, tmp_path / "a", **options))
    whole = logged(tmp_path / "a")
    again = {**options, "resume_from_checkpoint": str(tmp_path / "a/checkpoint-3")}
    run(config(checkpoint, jsonl, tmp_path / "b", **again))
    for name in ("train/loss", "train/sft_loss", "train/llm_kd_loss", "train/vision_kd_loss"):
        assert [line.get(name) for line in logged(tmp_path / "b")] == [line.get(name) for line in whole[3:]]
