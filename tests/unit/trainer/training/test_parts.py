"""Schedule, optimizer groups, delays, health and provenance, without a run."""

import json
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from transformers import Qwen3VLForConditionalGeneration, TrainerControl, TrainerState

from tests.support import tiny
from trainer.config import TrainingSection
from trainer.data import dataset_from_config
from trainer.model import network, tuners
from trainer.model.encode import Encoder
from trainer.training import callbacks, health, inputs, optim, schedule
from trainer.training.errors import LossDiverged, NoGradient, UnhealthyRun
from trainer.training.provenance import Provenance, copy_processor
from trainer.training.sharding import sharding_options


def training(**options) -> TrainingSection:
    return TrainingSection.model_validate({"output_dir": "x", **options})


@pytest.fixture
def model(checkpoint: Path):
    table = Encoder.load(checkpoint).pixels.table_CV
    return network.load(checkpoint, dtype=torch.float32, attn_impl="sdpa", pixel_table=table)


def test_each_tower_has_its_rate_and_no_parameter_is_lost(model):
    section = training(learning_rate=1e-4, vit_lr=2e-5, aligner_lr=3e-4, weight_decay=0.1)
    groups = optim.groups(model.named_parameters(), section)
    rates = {group["name"].split("/")[0]: group["lr"] for group in groups}
    assert rates == {"llm": 1e-4, "vit": 2e-5, "aligner": 3e-4}
    placed = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(placed) == sorted(id(parameter) for parameter in model.parameters())
    for group in groups:
        assert group["weight_decay"] == (0.0 if group["name"].endswith("no_decay") else 0.1)
        assert all(p.ndim > 1 for p in group["params"]) is not group["name"].endswith("no_decay")


def test_adapter_parameters_belong_to_their_tower(model):
    section = tiny.config(Path("m"), Path("d"), Path("o"), tuner={"freeze_vit": False}).tuner
    tuned = tuners.apply_tuner(model, section)
    groups = {group["name"]: group for group in optim.groups(tuned.named_parameters(), training(vit_lr=1e-5))}
    assert set(groups) == {"llm", "vit", "aligner"}
    assert groups["vit"]["lr"] == 1e-5


def test_the_floor_is_absolute_for_every_group():
    section = training(
        learning_rate=1e-4, vit_lr=1e-5, lr_scheduler_type="cosine_warmup_with_min_lr",
        lr_scheduler_kwargs={"min_lr": 2e-6}, warmup_ratio=0.1,
    )  # fmt: skip
    one, two = nn.Linear(2, 2), nn.Linear(2, 2)
    groups = [{"params": one.parameters(), "lr": 1e-4}, {"params": two.parameters(), "lr": 1e-5}]
    optimizer = torch.optim.SGD(groups)
    plan = schedule.scheduler(optimizer, section, 100)
    rates = []
    for _ in range(100):
        rates.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        plan.step()
    assert rates[0] == [0, 0]
    assert rates[10] == pytest.approx([1e-4, 1e-5])
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([2e-6, 2e-6])


def test_checkpoints_wait_for_their_delay():
    assert callbacks.is_save_delayed(training(save_delay_steps=100), 99, 5.0)
    assert not callbacks.is_save_delayed(training(save_delay_steps=100), 100, 0.0)
    assert callbacks.is_save_delayed(training(save_delay_epochs=1.5), 10**6, 1.4)
    assert not callbacks.is_save_delayed(training(), 0, 0.0)
    timing = callbacks.SaveTiming(training(save_delay_steps=100, save_steps=10))
    state, control = TrainerState(global_step=50, max_steps=1000), TrainerControl(should_save=True)
    timing.on_step_end(None, state, control)  # type: ignore[arg-type]
    assert not control.should_save


def test_a_loss_that_is_no_number_stops_the_run():
    state = TrainerState(global_step=7)
    with pytest.raises(LossDiverged, match="nan at step 7: lower training.learning_rate"):
        callbacks.SoundnessCheck().on_log(None, state, TrainerControl(), {"train/loss": float("nan")})  # type: ignore[arg-type]


def test_towers_without_gradient_stop_the_run(model):
    for name, parameter in model.named_parameters():
        parameter.grad = torch.zeros_like(parameter) if "visual" in name else torch.ones_like(parameter)
    plain = types.SimpleNamespace(deepspeed=None, fsdp=None)
    with pytest.raises(NoGradient, match='"type": "image", "image"'):
        callbacks.SoundnessCheck().on_pre_optimizer_step(plain, TrainerState(), TrainerControl(), model)  # type: ignore[arg-type]


def test_healthy_samples_pass_and_broken_ones_are_named(checkpoint: Path, jsonl: Path, model, tmp_path: Path):
    encoder = Encoder.load(checkpoint)
    facts = model.facts(encoder.pad_token)
    samples = dataset_from_config(tiny.config(checkpoint, jsonl, tmp_path), "train")
    health.check_samples(samples, encoder, facts, range(len(samples)))
    example = samples.example(0, 0)
    import dataclasses

    wrong = dataclasses.replace(facts, image_token=3)
    assert any("image_pad" in problem for problem in health.sample_problems(example, encoder, wrong))
    bad = dataclasses.replace(example, answer='{"object_1": {"bbox_2d": [1, 2, 3, 4000], "desc": "标签"}}')
    assert any("0..1000" in problem for problem in health.sample_problems(bad, encoder, facts))
    encoded = encoder.encode(example)
    cut = dataclasses.replace(encoded, levels=encoded.levels[:-1])
    assert any("patches" in problem for problem in health.encoding_problems(cut, facts))
    silent = dataclasses.replace(encoded, labels_T=encoded.labels_T * 0 - 100)
    assert any("no token is trained" in problem for problem in health.encoding_problems(silent, facts))
    with pytest.raises(UnhealthyRun, match=r"data\.jsonl:"):
        health.check_samples(samples, encoder, wrong, range(2))


def test_samples_over_the_limit_are_counted_and_named(checkpoint: Path, jsonl: Path, tmp_path: Path):
    config = tiny.config(checkpoint, jsonl, tmp_path, longest=100)
    samples = dataset_from_config(config, "train")
    tokens = np.array([90, 150, 101])
    with pytest.raises(UnhealthyRun, match="2 of 3 samples are longer than global_max_length 100; the longest, .*150"):
        health.usable_records(tokens, config, samples)
    kept = config.model_copy(update={"template": config.template.model_copy(update={"truncation_strategy": "delete"})})
    assert health.usable_records(tokens, kept, samples) == [0]


def test_too_few_records_are_noticed_before_anything_is_trained(
    checkpoint: Path, jsonl: Path, tmp_path: Path, monkeypatch
):
    config = tiny.config(checkpoint, jsonl, tmp_path, eval_strategy="steps")
    data = dataset_from_config(config, "train"), dataset_from_config(config, "val")
    encoder, collator = Encoder.load(checkpoint), types.SimpleNamespace()
    args = types.SimpleNamespace(process_index=0, world_size=3, dataloader_pin_memory=False)
    tokens = np.full(len(data[0]), 300)
    with pytest.raises(UnhealthyRun, match="2 training records are not enough for 3 devices"):
        inputs.loaders(config, data, encoder, collator, args, (tokens, [0, 1]))
    monkeypatch.setattr(inputs, "lengths", lambda *_, **__: (tokens + 1000, np.ones_like(tokens)))
    with pytest.raises(UnhealthyRun, match="no evaluation record .* 1024; the shortest has 1300 tokens"):
        inputs.loaders(config, data, encoder, collator, args, (tokens, [0, 1, 2]))


def test_a_missing_adapter_is_noticed(model, tmp_path: Path):
    with pytest.raises(UnhealthyRun, match="no adapter"):
        health.check_model(model, tiny.config(Path("m"), Path("d"), tmp_path), photos=1)


def test_vision_is_not_trained_without_photos(model, tmp_path: Path):
    config = tiny.config(Path("m"), Path("d"), tmp_path, tuner={"tuner_type": "full"})
    with pytest.raises(UnhealthyRun, match="no record has a photo"):
        health.check_model(tuners.apply_tuner(model, config.tuner), config, photos=0)


@pytest.mark.parametrize(("name", "stage"), [("zero2", 2), ("zero3", 3)])
def test_deepspeed_is_set_up(monkeypatch, tmp_path: Path, name: str, stage: int):
    plain = tiny.config(Path("m"), Path("d"), tmp_path)
    config = type(plain).model_validate(plain.model_dump() | {"deepspeed": {"enabled": True, "config": name}})
    monkeypatch.setattr("trainer.training.sharding.find_spec", lambda name: name)
    monkeypatch.setenv("LOCAL_RANK", "0")
    settings = sharding_options(config)["deepspeed"]
    zero = settings["zero_optimization"]
    assert zero["stage"] == stage
    if stage == 3:  # whole blocks at once
        assert zero["leaf_module"]["classes"] == Qwen3VLForConditionalGeneration._no_split_modules
    assert settings["bf16"] == {"enabled": "auto"}, "the run's own bf16 decides; a contradiction ends the run"
    assert sharding_options(plain) == {}


def test_provenance_survives_a_round_trip(checkpoint: Path, tmp_path: Path):
    made = Provenance(base="b", config_digest="c", dataset_digest="d", git_revision=None, contract={"prompts": "p"})
    made.write(tmp_path)
    assert Provenance.read(tmp_path) == made
    assert Provenance.read(checkpoint) is None
    assert "tokenizer.json" in copy_processor(checkpoint, tmp_path)
    assert json.loads((tmp_path / "preprocessor_config.json").read_text())["patch_size"] == 16
