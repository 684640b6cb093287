"""From ms-swift and back: what both sides can say survives, and what one side lacks is named."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from trainer.cli import main
from trainer.config import ConfigError, TrainConfig, config_from, documented_keys, load_config
from trainer.convert import convert, from_swift, to_swift
from trainer.convert.flat import non_default_values
from trainer.convert.names import OURS_ONLY, SAME, SPECIAL, swift_defaults
from vqc.errors import InvalidValue

ROOT = Path(__file__).parents[4]
ARGS = Path(__file__).parent / "args.json"
"""Every argument of ms-swift 4.6.0 as its ``args.json`` holds them; a LoRA run's values over the defaults of its source."""

RATE = st.floats(1e-6, 1e-2, allow_subnormal=False)
KEYS: dict[str, st.SearchStrategy[Any]] = {
    "model.model": st.sampled_from(["/models/a", "Qwen/Qwen3-VL-4B-Instruct"]),
    "model.torch_dtype": st.sampled_from(["bfloat16", "float32"]),
    "model.attn_impl": st.sampled_from(["sdpa", "eager", "flash_attention_2"]),
    "global_max_length": st.integers(64, 20000),
    "template.truncation_strategy": st.sampled_from(["delete", "right"]),
    "tuner.tuner_type": st.sampled_from(["lora", "full", "adalora", "boft", "fourierft"]),
    "tuner.freeze_llm": st.booleans(),
    "tuner.freeze_vit": st.booleans(),
    "tuner.freeze_aligner": st.booleans(),
    "tuner.target_modules": st.sampled_from([["all-linear"], ["q_proj", "v_proj"]]),
    "tuner.target_regex": st.sampled_from([None, r"model\.visual\.merger\..*"]),
    "tuner.modules_to_save": st.sampled_from([[], ["model.visual.merger"]]),
    "tuner.lora_rank": st.integers(1, 64),
    "tuner.lora_alpha": st.integers(1, 128),
    "tuner.use_dora": st.booleans(),
    "tuner.init_weights": st.sampled_from(["true", "gaussian", "pissa"]),
    "tuner.adalora_target_r": st.integers(1, 8),
    "tuner.boft_block_size": st.integers(1, 8),
    "tuner.fourier_n_frequency": st.integers(1, 3000),
    "tuner.resume_from_checkpoint": st.sampled_from([None, "runs/1/checkpoint-5"]),
    "training.run_name": st.sampled_from([None, "third"]),
    "training.num_train_epochs": st.sampled_from([1.0, 2.5]),
    "training.max_steps": st.sampled_from([None, 10]),
    "training.per_device_train_batch_size": st.integers(1, 4),
    "training.gradient_accumulation_steps": st.integers(1, 16),
    "training.packing": st.booleans(),
    "training.learning_rate": RATE,
    "training.vit_lr": st.none() | RATE,
    "training.aligner_lr": st.none() | RATE,
    "training.optimizer": st.sampled_from([None, "multimodal"]),
    "training.lr_scheduler_type": st.sampled_from(
        ["cosine", "cosine_with_min_lr", "cosine_warmup_with_min_lr", "linear"]
    ),
    "training.lr_scheduler_kwargs.min_lr": st.sampled_from([None, 1e-7]),
    "training.warmup_ratio": st.sampled_from([0.0, 0.1]),
    "training.bf16": st.booleans(),
    "training.vit_gradient_checkpointing": st.sampled_from([None, True, False]),
    "training.gradient_checkpointing": st.booleans(),
    "training.fsdp": st.sampled_from([None, "fsdp2"]),
    "training.eval_strategy": st.sampled_from(["no", "steps", "epoch"]),
    "training.eval_steps": st.sampled_from([None, 20]),
    "training.save_strategy": st.sampled_from(["no", "steps", "epoch", "best"]),
    "training.metric_for_best_model": st.sampled_from([None, "eval_loss"]),
    "training.report_to": st.sampled_from([["none"], ["tensorboard"]]),
    "training.dataloader_num_workers": st.integers(0, 4),
    "training.dataloader_persistent_workers": st.booleans(),
    "training.resume_from_checkpoint": st.sampled_from([None, "runs/2/checkpoint-7"]),
    "training.resume_only_model": st.booleans(),
    "rlhf.beta": st.sampled_from([0.0, 0.1, 1.0]),
    "rlhf.sft_alpha": st.sampled_from([0.0, 1.0]),
    "rlhf.lmbda": st.sampled_from([0.0, 0.5]),
    "rlhf.temperature": st.sampled_from([0.9, 1.0]),
    "rlhf.teacher_model": st.sampled_from([None, "/models/teacher"]),
    "custom.val_jsonl": st.sampled_from([None, "val.jsonl"]),
    "deepspeed.config": st.sampled_from([None, "zero2", "zero3"]),
}


def tree_of(flat: dict[str, Any]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for key, value in flat.items():
        *sections, name = key.split(".")
        node = tree
        for section in sections:
            node = node.setdefault(section, {})
        if value is not None:
            node[name] = value
    return tree


@st.composite
def configs(draw: st.DrawFn) -> TrainConfig:
    """Any consistent configuration that says nothing which ms-swift cannot."""
    chosen = draw(st.lists(st.sampled_from(sorted(KEYS)), max_size=14, unique=True))
    flat = {key: draw(KEYS[key]) for key in chosen}
    flat |= {
        "training.output_dir": "runs/x",
        "custom.train_jsonl": "train.jsonl",
        "model.model": flat.get("model.model", "m"),
    }
    flat.setdefault("template.truncation_strategy", "delete")
    flat.setdefault("global_max_length", 4096)  # always said: what it would be without is another number there
    if any(key.startswith("rlhf.") for key in flat):
        flat["rlhf.rlhf_type"] = "gkd"
    if flat.get("deepspeed.config"):
        flat["deepspeed.enabled"] = True
    if flat.get("training.packing"):
        flat["model.attn_impl"] = "flash_attention_2"
    if flat.get("training.eval_strategy") == "steps":
        flat["training.eval_steps"] = flat.get("training.eval_steps") or 20
    tree = tree_of(flat)
    tree = {name: value for name, value in tree.items() if value != {}}
    try:
        return config_from(tree)
    except ConfigError:
        assume(False)
        raise


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(configs(), st.sampled_from([3, 4]))
def test_what_both_can_say_survives_the_way_there_and_back(config: TrainConfig, version: Any) -> None:
    there = to_swift(config, version=version)
    assert there.lost == ()
    back = from_swift(there.tree)
    assert back.lost == ()
    assert non_default_values(config_from(back.tree)) == non_default_values(config)


LEAVES = st.none() | st.booleans() | st.integers(-3, 9000) | st.floats(allow_nan=False) | st.sampled_from(
    ["", "x", "true", "{", '{"a": 1}', "zero3", "gkd", "full", "a.jsonl#3", "a#b"]
)  # fmt: skip
VALUES = (
    LEAVES
    | st.lists(LEAVES, max_size=2)
    | st.dictionaries(st.sampled_from(["stage", "zero_optimization", "min_lr"]), LEAVES)
)
NAMES = sorted(
    {*SAME.values(), *SPECIAL.values(), "rlhf_type", "fp16", "fsdp_config", "freeze_parameters", "train_type"}
)


@settings(max_examples=400, deadline=None)
@given(st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=6))
def test_any_mapping_converts_or_is_an_error_of_ours(arguments: dict[str, Any]) -> None:
    with suppress(InvalidValue, ConfigError):
        config_from(from_swift(arguments).tree)


@pytest.mark.parametrize(
    ("argument", "value", "valid"),
    [
        ("learning_rate", "fast", "a number"),
        ("packing", "yes", "bool"),
        ("dataset", 3, "list of texts"),
        ("deepspeed", "{", "a mapping"),
    ],
)
def test_a_value_of_another_kind_is_named(argument: str, value: object, valid: str) -> None:
    with pytest.raises(InvalidValue, match=f"{argument}.*{valid}"):
        from_swift({"model": "m", argument: value})


def test_one_value_is_a_list_of_one() -> None:
    args = {
        "model": "m",
        "dataset": "a.jsonl#50",
        "max_length": 64,
        "report_to": "tensorboard",
        "target_modules": "all-linear",
    }
    result = from_swift(args)
    assert result.lost == ()
    custom = config_from(result.tree).custom
    assert (custom.train_jsonl, custom.train_limit) == ("a.jsonl", 50)


def test_every_key_of_ours_has_a_counterpart_or_a_reason() -> None:
    known = set().union(*swift_defaults().values()) | {"rlhf_type"}
    for doc in documented_keys():
        places = [doc.key in SAME, doc.key in SPECIAL, any(f"{doc.key}.".startswith(f"{own}.") for own in OURS_ONLY)]
        places[2] = places[2] or any(
            doc.key.startswith(f"{own}[") or f".{own.split('.')[-1]}[" in doc.key for own in OURS_ONLY
        )
        assert sum(places) == 1, doc.key
    assert {*SAME.values(), *SPECIAL.values()} <= known


def test_a_run_of_ms_swift_by_its_args_json() -> None:
    result = convert(ARGS)
    assert (result.to, result.problems) == ("vqc", ())
    assert {item.key for item in result.conversion.lost} == {"max_pixels", "neftune_noise_alpha", "system"}
    config = config_from(result.conversion.tree)
    assert config.tuner.model_dump(include={"tuner_type", "lora_rank", "lora_alpha", "freeze_vit", "freeze_aligner"}) == {
        "tuner_type": "lora", "lora_rank": 32, "lora_alpha": 64, "freeze_vit": True, "freeze_aligner": False,
    }  # fmt: skip
    assert (config.max_length, config.packing_length, config.deepspeed.config) == (4096, 4096, "zero2")
    assert (config.training.optimizer, config.training.aligner_lr) == ("multimodal", 2e-5)
    assert config.training.lr_scheduler_kwargs.min_lr == 1e-6
    assert config.training.metric_for_best_model == "eval_loss"
    assert (config.custom.train_jsonl, config.training.run_name) == ("/data/train.jsonl", None)
    again = from_swift(to_swift(config).tree)
    assert again.tree == result.conversion.tree


def test_what_is_left_out_has_ms_swifts_default_not_ours() -> None:
    args = {"model": "m", "dataset": "a.jsonl", "train_type": "full", "freeze_vit": False, "max_length": 2048}
    config = config_from(from_swift(args).tree)
    assert config.training.learning_rate == 1e-5
    assert config.training.lr_scheduler_type == "cosine"
    assert config.training.gradient_accumulation_steps == 16
    assert config.training.logging_steps == 5
    assert config.template.truncation_strategy == "delete"
    gkd = config_from(from_swift({**args, "rlhf_type": "gkd"}).tree).rlhf
    assert gkd is not None
    assert (gkd.sft_alpha, gkd.lmbda, gkd.temperature) == (0.0, 0.5, 0.9)


@pytest.mark.parametrize(
    ("argument", "value", "why"),
    [
        ("dataset", ["a.jsonl", "b.jsonl"], "concatenate"),
        ("rlhf_type", "dpo", "only 'gkd' is supported"),
        ("deepspeed", "zero3_offload", "without offload"),
        ("optim", "adafactor", "AdamW is used"),
        ("lr_scheduler_type", "polynomial", "'cosine' is used"),
        ("report_to", ["tensorboard", "wandb"], "only tensorboard"),
        ("norm_bbox", "none", "norm1000"),
        ("freeze_parameters", ["lm_head"], "freeze_llm"),
        ("num_labels", 3, "has no counterpart"),
        ("attn_impl", "flash_attention_3", "varlen"),
        ("adapters", ["a", "b"], "merge all but the last"),
    ],
)
def test_what_has_no_counterpart_is_named(argument: str, value: object, why: str) -> None:
    args = {"model": "m", "dataset": ["a.jsonl"], "max_length": 2048, argument: value}
    (lost,) = from_swift(args).lost
    assert (lost.key, lost.value) == (argument, value)
    assert why in lost.why


@pytest.mark.parametrize("recipe", ["stage_3_gkd_visual.yaml", "demo.yaml", "full.yaml"])
def test_a_recipe_says_what_ms_swift_cannot_do(recipe: str) -> None:
    config = load_config(ROOT / "configs" / recipe)
    lost = {item.key for item in to_swift(config).lost}
    wanted = {
        "stage_3_gkd_visual.yaml": {"custom.visual_kd", "rlhf.llm_kd_weight", "custom.augmentation"},
        "demo.yaml": {"custom.scenes", "training.optimizer", "training.coordinate_sigma"},
        "full.yaml": {"training.save_delay_epochs"},
    }
    assert wanted[recipe] <= lost


def test_the_command_converts_both_ways(tmp_path: Path) -> None:
    swift, ours = tmp_path / "swift.yaml", tmp_path / "ours.yaml"
    there = CliRunner().invoke(main, ["convert", str(ROOT / "configs/stage_1_aligner.yaml"), "--out", str(swift)])
    assert there.exit_code == 0, there.output
    assert "custom.augmentation" in there.stderr
    assert yaml.safe_load(swift.read_text("utf-8"))["freeze_llm"] is True
    back = CliRunner().invoke(main, ["convert", str(swift), "--out", str(ours), "--json"])
    assert back.exit_code == 0, back.output
    assert json.loads(back.stdout)["lost"] == []
    assert load_config(ours).tuner == load_config(ROOT / "configs/stage_1_aligner.yaml").tuner
    old = CliRunner().invoke(main, ["convert", str(ROOT / "configs/full.yaml"), "--swift-version", "3"])
    assert "train_type: full" in old.stdout


def test_what_must_be_settled_first_ends_with_status_1(tmp_path: Path) -> None:
    path = tmp_path / "args.yaml"
    path.write_text("model: m\nmax_length: 100\n", "utf-8")
    done = CliRunner().invoke(main, ["convert", str(path)])
    assert done.exit_code == 1
    assert "to fix: custom" in done.stderr
    path.write_text("- a\n", "utf-8")
    assert "must be a mapping of keys" in CliRunner().invoke(main, ["convert", str(path)]).output
