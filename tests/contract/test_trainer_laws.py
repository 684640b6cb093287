"""The trainer's laws on the smallest model there is. Each is exact up to the order of floating-point sums."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoProcessor, Qwen3VLForConditionalGeneration

from tests.support import ranks, tiny
from tests.support.networks import facts, gradients, model, samples
from trainer.export import export
from trainer.model import tuners
from trainer.model.collate import pack_samples, pad_samples
from trainer.model.encode import IGNORED, Encoder
from trainer.training.run import run

pytestmark = pytest.mark.filterwarnings("ignore:.*:DeprecationWarning", "ignore:.*:UserWarning:torch.*")


@pytest.mark.parametrize("attn_impl", ["sdpa", "eager", "varlen"])
def test_packed_equals_separate(checkpoint: Path, encoder: Encoder, attn_impl: str):
    net = model(checkpoint, encoder, attn_impl)
    encoded = [encoder.encode(sample) for sample in samples()]
    tokens = sum(int((item.labels_T != IGNORED).sum()) for item in encoded)
    alone = 0.0
    for item in encoded:
        loss = net(**pack_samples([item], facts(encoder, net)), num_items_in_batch=tokens).loss
        loss.backward()
        alone += loss.item()
    separate = gradients(net)
    loss = net(**pack_samples(encoded, facts(encoder, net)), num_items_in_batch=tokens).loss
    loss.backward()
    assert loss.item() == pytest.approx(alone, abs=2e-6)
    together = gradients(net)
    assert separate.keys() == together.keys()
    for name, gradient in separate.items():
        torch.testing.assert_close(together[name], gradient, atol=2e-6, rtol=1e-3, msg=name)


def test_padded_equals_packed(checkpoint: Path, encoder: Encoder):
    net = model(checkpoint, encoder)
    encoded = [encoder.encode(sample) for sample in samples()]
    assert net(**pad_samples(encoded, facts(encoder, net))).loss.item() == pytest.approx(
        net(**pack_samples(encoded, facts(encoder, net))).loss.item(), abs=2e-6
    )


def test_loss_equals_transformers_own(checkpoint: Path, encoder: Encoder):
    net, sample = model(checkpoint, encoder), samples()[0]
    batch = pack_samples([encoder.encode(sample)], facts(encoder, net))
    upstream = Qwen3VLForConditionalGeneration.from_pretrained(checkpoint, dtype=torch.float32)
    theirs = upstream(
        input_ids=batch["input_ids"],
        labels=batch["labels"],
        pixel_values=net.pixel_values(batch["pixel_levels"]),
        image_grid_thw=batch["image_grid_thw"],
        mm_token_type_ids=(batch["input_ids"] == encoder.image_token).int(),
    )
    assert net(**batch).loss.item() == pytest.approx(theirs.loss.item(), abs=2e-6)


@pytest.mark.parametrize("number", range(4))
def test_tokens_and_pixels_are_the_servers(checkpoint: Path, encoder: Encoder, number: int):
    sample = samples()[number]
    processor = AutoProcessor.from_pretrained(checkpoint)
    served = processor.apply_chat_template(
        sample.prompt.messages(sample.images), add_generation_prompt=True, tokenize=True, return_dict=True,
        return_tensors="np",
    )  # fmt: skip
    encoded = encoder.encode(sample)
    prompt = encoded.input_ids_T[encoded.labels_T == IGNORED]
    assert prompt.tolist() == served["input_ids"][0].tolist()
    if sample.images:
        net = model(checkpoint, encoder)
        pixels = net.pixel_values(torch.from_numpy(encoded.levels)).numpy()
        assert np.array_equal(pixels, served["pixel_values"])
        assert [list(grid) for grid in encoded.grids] == served["image_grid_thw"].tolist()


def test_labels_are_the_answer_and_its_end(encoder: Encoder):
    for sample in samples():
        encoded = encoder.encode(sample)
        trained = encoded.labels_T[encoded.labels_T != IGNORED]
        assert encoder.tokenizer.decode(trained.tolist()) == sample.answer + "<|im_end|>"
        assert np.array_equal(encoded.input_ids_T[-len(trained) :], trained)


def test_lengths_need_no_pixels(encoder: Encoder):
    for sample in samples():
        sizes = [image.size for image in sample.images]
        assert encoder.length(sample.prompt, sizes, sample.answer) == len(encoder.encode(sample))


def test_accumulation_equals_one_batch(checkpoint: Path, jsonl: Path, tmp_path: Path):
    one = {"max_steps": 3, "learning_rate": 1e-3, "group_by_length": False}
    run(tiny.config(checkpoint, jsonl, tmp_path / "a", per_device_train_batch_size=4, **one))
    run(
        tiny.config(
            checkpoint, jsonl, tmp_path / "b", per_device_train_batch_size=1, gradient_accumulation_steps=4, **one
        )
    )
    assert tiny.log(tmp_path / "a") == pytest.approx(tiny.log(tmp_path / "b"), abs=2e-6)
    assert tiny.log(tmp_path / "a", "train/grad_norm") == pytest.approx(
        tiny.log(tmp_path / "b", "train/grad_norm"), rel=1e-4
    )


@pytest.mark.parametrize("tuner", [{"lora_dropout": 0.1}, {"tuner_type": "full", "freeze_vit": False}])
def test_resumed_equals_uninterrupted(checkpoint: Path, jsonl: Path, tmp_path: Path, tuner: dict[str, object]):
    options = {"max_steps": 12, "learning_rate": 1e-3, "lr_scheduler_type": "cosine", "save_strategy": "steps"}
    options |= {"save_steps": 3, "packing": True, "longest": 420, "per_device_train_batch_size": 1}
    run(tiny.config(checkpoint, jsonl, tmp_path / "a", tuner=tuner, **options))
    whole = tiny.log(tmp_path / "a")
    again = tiny.config(
        checkpoint, jsonl, tmp_path / "b", tuner=tuner, resume_from_checkpoint=str(tmp_path / "a/checkpoint-9"),
        **options,
    )  # fmt: skip
    run(again)
    assert len(whole) == 12
    assert tiny.log(tmp_path / "b") == whole[9:]


def test_merged_equals_adapter(checkpoint: Path, jsonl: Path, encoder: Encoder, tmp_path: Path):
    tuner = {"freeze_vit": False, "use_dora": True, "modules_to_save": ["model.visual.deepstack_merger_list.0"]}
    result = run(tiny.config(checkpoint, jsonl, tmp_path / "run", tuner=tuner, save_strategy="steps"))
    assert result.checkpoint is not None
    merged_dir = export(result.checkpoint, tmp_path / "merged", dtype="float32")
    from peft import PeftModel

    batch = pack_samples([encoder.encode(sample) for sample in samples()], facts(encoder, model(checkpoint, encoder)))
    with torch.no_grad():
        plain = model(checkpoint, encoder).eval()(**batch).loss.item()
        adapted = PeftModel.from_pretrained(model(checkpoint, encoder), str(result.checkpoint)).eval()(**batch).loss
        merged = model(merged_dir, encoder).eval()(**batch).loss
    assert merged.item() == pytest.approx(adapted.item(), abs=5e-6)
    assert abs(adapted.item() - plain) > 1e-3
    manifest = json.loads((merged_dir / "vqc_manifest.json").read_text("utf-8"))
    assert manifest["adapter"]
    assert (merged_dir / "tokenizer.json").read_bytes() == (checkpoint / "tokenizer.json").read_bytes()


PLAYBOOK = {
    "freeze_llm": True, "freeze_vit": True, "freeze_aligner": True, "target_regex": "^$",
    "modules_to_save": ["model.visual.merger", "model.visual.deepstack_merger_list.0",
                        "model.visual.deepstack_merger_list.1"],
}  # fmt: skip


@pytest.mark.parametrize(
    "tuner",
    [PLAYBOOK, {"freeze_llm": True}, {"tuner_type": "full", "freeze_llm": True}],
    ids=["playbook", "lora", "full"],
)
def test_aligner_only_changes_nothing_else(checkpoint: Path, jsonl: Path, tmp_path: Path, tuner: dict[str, object]):
    result = run(tiny.config(checkpoint, jsonl, tmp_path / "run", tuner=tuner, save_strategy="steps"))
    assert result.checkpoint is not None
    before = load_file(checkpoint / "model.safetensors")
    after = load_file(export(result.checkpoint, tmp_path / "out") / "model.safetensors")
    assert before.keys() == after.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    aligner = {name for name in before if ".merger." in name or ".deepstack_merger_list." in name}
    assert changed
    assert changed <= aligner
    if tuner is PLAYBOOK:
        assert {name.rsplit(".", 2)[0] for name in changed} == set(PLAYBOOK["modules_to_save"])


def test_two_ranks_equal_one(checkpoint: Path, jsonl: Path, tmp_path: Path):
    options = {"max_steps": 3, "learning_rate": 1e-3, "per_device_train_batch_size": 2, "eval_strategy": "steps"}
    options["eval_steps"] = 3
    one, two = (
        tiny.config(checkpoint, jsonl, tmp_path / name, gradient_accumulation_steps=steps, **options)
        for name, steps in (("one", 2), ("two", 1))
    )
    few = {"val_sample_limit": 1}  # fewer records than ranks
    one, two = (config.model_copy(update={"custom": config.custom.model_copy(update=few)}) for config in (one, two))
    run(one)
    ranks.run_in_two(two, tmp_path)
    assert tiny.log(tmp_path / "two") == pytest.approx(tiny.log(tmp_path / "one"), abs=5e-6)
    assert tiny.log(tmp_path / "two", "eval/loss") == pytest.approx(tiny.log(tmp_path / "one", "eval/loss"), abs=5e-6)


def test_adapter_lands_on_exactly_the_modules_named(checkpoint: Path, encoder: Encoder, jsonl: Path, tmp_path: Path):
    for flags in ({"freeze_llm": True}, {"freeze_vit": False}, {"freeze_aligner": True}):
        tuner = tiny.config(checkpoint, jsonl, tmp_path, tuner=flags).tuner
        wanted = set(tuners.targets(model(checkpoint, encoder), tuner).adapted)
        tuned = tuners.apply_tuner(model(checkpoint, encoder), tuner)
        assert set(tuned.base_model.targeted_module_names) == wanted
