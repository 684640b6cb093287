"""Keys that contradict each other are errors with advice."""

from __future__ import annotations

import copy

import pytest

from trainer.config import ConfigError, TrainConfig, config_from, notes

MINIMAL: dict[str, object] = {
    "model": {"model": "m"},
    "training": {"output_dir": "o"},
    "custom": {"train_jsonl": "t.jsonl"},
}


def made(**sections: dict[str, object]) -> TrainConfig:
    tree: dict[str, dict[str, object]] = copy.deepcopy(MINIMAL)  # type: ignore[assignment]
    for name, keys in sections.items():
        tree.setdefault(name, {}).update(keys)
    return config_from(tree)  # type: ignore[arg-type]


GKD: dict[str, object] = {"rlhf_type": "gkd"}
SERVED: dict[str, object] = {**GKD, "lmbda": 0.5, "use_vllm": True}
ZERO3: dict[str, object] = {"enabled": True, "config": "zero3"}
HFLIP: dict[str, object] = {"ops": [{"name": "hflip"}]}
VAL: dict[str, object] = {"val_jsonl": "v.jsonl"}


@pytest.mark.parametrize(
    ("sections", "key", "says"),
    [
        ({"tuner": {"tuner_type": "full", "lora_rank": 4}}, "tuner.lora_rank", "tuner_type 'lora'"),
        ({"tuner": {"tuner_type": "full", "modules_to_save": ["a"]}}, "tuner.modules_to_save", "whole towers"),
        ({"tuner": {"boft_dropout": 0.1}}, "tuner.boft_dropout", "tuner_type 'boft'"),
        ({"tuner": {"tuner_type": "adalora", "use_dora": True}}, "tuner.use_dora", "tuner_type 'lora'"),
        ({"tuner": {"tuner_type": "boft", "boft_block_num": 2}}, "tuner.boft_block_size", "exactly one"),
        ({"tuner": {"freeze_llm": True}}, "tuner.freeze_llm", "nothing would be trained"),
        (
            {"tuner": {"modules_to_save": ["model.visual.deepstack_merger_list"]}},
            "tuner.modules_to_save",
            "model.visual.deepstack_merger_list.0",
        ),
        ({"tuner": {"target_regex": "x", "target_modules": ["q_proj"]}}, "tuner.target_regex", "replaces"),
        ({"training": {"vit_lr": 1e-4}}, "training.vit_lr", "freeze_vit"),
        ({"training": {"vit_lr": 1e-4, "optimizer": "adamw"}}, "training.vit_lr", "multimodal"),
        (
            {"training": {"lr_scheduler_type": "linear", "lr_scheduler_kwargs": {"min_lr": 1e-6}}},
            "training.lr_scheduler_kwargs.min_lr",
            "cosine_warmup_with_min_lr",
        ),
        ({"training": {"lr_scheduler_kwargs": {"min_lr": 1.0}}}, "training.lr_scheduler_kwargs.min_lr", "above"),
        ({"training": {"warmup_ratio": 0.1, "warmup_steps": 3}}, "training.warmup_steps", "keep one"),
        ({"training": {"packing": True, "group_by_length": True}}, "training.group_by_length", "packing"),
        ({"training": {"torch_compile": True, "use_liger_kernel": True}}, "training.use_liger_kernel", "compiled"),
        ({"training": {"packing_length": 9000}}, "training.packing_length", "packing: true"),
        ({"training": {"packing": True, "packing_length": 64}}, "training.packing_length", "shorter"),
        ({"training": {"max_steps": 3, "num_train_epochs": 2.0}}, "training.num_train_epochs", "max_steps"),
        ({"training": {"eval_strategy": "steps"}}, "training.eval_strategy", "val_jsonl"),
        ({"training": {"eval_steps": 3}}, "training.eval_steps", "eval_strategy"),
        ({"training": {"save_strategy": "epoch", "save_steps": 3}}, "training.save_steps", "null"),
        ({"training": {"save_strategy": "best"}}, "training.save_strategy", "metric_for_best_model"),
        ({"training": {"save_strategy": "no", "save_delay_steps": 3}}, "training.save_delay_steps", "null"),
        ({"training": {"save_delay_epochs": 1.0, "save_delay_steps": 3}}, "training.save_delay_epochs", "keep one"),
        ({"training": {"resume_only_model": True}}, "training.resume_only_model", "resume_from_checkpoint"),
        ({"training": {"report_to": ["wandb"]}}, "training.report_to", "'tensorboard'"),
        ({"custom": {"use_summary": True, "summary_ratio": 0.5}}, "custom.summary_ratio", "use_summary"),
        ({"custom": {"dump_conversation_path": "x"}}, "custom.dump_conversation_path", "dump_conversation_text"),
        ({"custom": {"bypass_prob": 0.5}}, "custom.bypass_prob", "augmentation"),
        ({"custom": {"augmentation": {"enabled": True}}}, "custom.augmentation.ops", "empty"),
        ({"custom": {"train_jsonl": None}}, "custom.train_jsonl", "exactly one"),
        ({"data": {"dataset": ["coco"]}}, "data.dataset", "custom.train_jsonl"),
        ({"prompts": {"missions": ["挡风板"]}}, "prompts.missions", "挡风板安装检查"),
        ({"deepspeed": {"enabled": True}}, "deepspeed.config", "zero2"),
        ({"deepspeed": {"enabled": True, "config": "zero2"}, "training": {"fsdp": "fsdp2"}}, "training.fsdp", "one of"),
        ({"rlhf": {**GKD, "llm_kd_weight": 0.0}}, "rlhf.llm_kd_weight", "nothing to distil"),
        (
            {
                "rlhf": {**GKD, "llm_kd_weight": 0.0, "lmbda": 0.5},
                "custom": {"visual_kd": {"weight": 0.1}},
                "tuner": {"freeze_vit": False},
            },
            "rlhf.lmbda",
            "ignores generated answers",
        ),
        ({"rlhf": {**GKD, "seq_kd": True}, "training": {"fsdp": "fsdp2"}}, "rlhf.seq_kd", "sharded"),
        ({"rlhf": SERVED, "tuner": {"tuner_type": "full"}}, "tuner.tuner_type", "cannot be updated"),
        (
            {"rlhf": SERVED, "tuner": {"modules_to_save": ["model.visual.merger"]}},
            "tuner.modules_to_save",
            "plain LoRA",
        ),
        ({"rlhf": SERVED, "tuner": {"init_weights": "pissa"}}, "tuner.init_weights", "plain LoRA"),
        (
            {"rlhf": GKD, "tuner": {"tuner_type": "full"}, "deepspeed": ZERO3},
            "deepspeed.config",
            "a separate teacher",
        ),
        ({"rlhf": SERVED, "tuner": {"lora_rank": 513}}, "tuner.lora_rank", "above vLLM's limit, 512"),
        ({"rlhf": {**GKD, "lmbda": 0.5, "teacher_cache": {"path": "c"}}}, "rlhf.teacher_cache", "rlhf.lmbda"),
        (
            {"rlhf": {**GKD, "teacher_cache": {"path": "c"}}, "custom": {"augmentation": HFLIP}},
            "rlhf.teacher_cache",
            "hflip",
        ),
        (
            {"rlhf": {**GKD, "teacher_cache": {"path": "c"}}, "deepspeed": {"enabled": True, "config": "zero3"}},
            "rlhf.teacher_cache",
            "zero2",
        ),
        (
            {"custom": {"visual_kd": {"weight": 0.1}}, "tuner": {"freeze_vit": False}},
            "custom.visual_kd",
            "rlhf_type: gkd",
        ),
        (
            {"rlhf": GKD, "custom": {"visual_kd": {"weight": 0.1}}},
            "custom.visual_kd",
            "vision encoder and aligner are frozen",
        ),
        ({"rlhf": GKD, "custom": {"visual_kd": {"enabled": True}}}, "custom.visual_kd.weight", "above 0"),
        ({"rlhf": GKD, "custom": {"visual_kd": {"weight": 1.0, "targets": []}}}, "custom.visual_kd.targets", "empty"),
        (
            {
                "rlhf": GKD,
                "custom": {"visual_kd": {"weight": 1.0, "targets": ["merger"], "deepstack": {"weight": 2.0}}},
            },
            "custom.visual_kd.deepstack",
            "not among the targets",
        ),
        ({"model": {"max_model_len": 7}}, "model.max_model_len", "global_max_length"),
    ],
)
def test_a_meaningless_key_is_named_with_advice(sections: dict[str, dict[str, object]], key: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        made(**sections)
    found = [problem for problem in caught.value.problems if problem.key == key]
    assert found, caught.value
    assert says in found[0].message


def test_what_belongs_together_is_accepted() -> None:
    made(tuner={"tuner_type": "adalora", "lora_alpha": 16, "adalora_init_r": 16})
    made(tuner={"freeze_vit": False}, training={"vit_lr": 1e-5, "optimizer": "multimodal"})
    made(tuner={"freeze_llm": True, "modules_to_save": ["model.visual.merger"]}, training={"aligner_lr": 1e-4})
    made(rlhf=GKD, custom={"visual_kd": {"weight": 0.1}}, tuner={"freeze_aligner": False})
    made(rlhf={**GKD, "teacher_cache": {"path": "c"}}, custom={"augmentation": {**HFLIP, "enabled": False}})
    made(training={"save_strategy": "best", "metric_for_best_model": "eval_loss", "eval_strategy": "steps"}, custom=VAL)


def test_values_that_follow_from_others() -> None:
    kd = made(rlhf={**GKD, "sft_alpha": 0.3}).rlhf
    off = made(
        rlhf={**GKD, "sft_alpha": 0.3, "llm_kd_weight": 0.0},
        custom={"visual_kd": {"weight": 0.1, "targets": "MERGER", "merger": {"distance": "cosine"}}},
        tuner={"freeze_vit": False},
    )
    assert kd is not None
    assert off.rlhf is not None
    assert off.custom.visual_kd is not None
    assert (kd.sft_weight, off.rlhf.sft_weight) == (0.3, 1.0)
    assert off.custom.visual_kd.targets == ("merger",)
    assert (off.custom.visual_kd.weight_of("merger"), off.custom.visual_kd.distance_of("merger")) == (0.1, "cosine")
    config = made(tuner={"freeze_aligner": False}, training={"aligner_lr": 1e-5, "run_name": "r"})
    assert config.training.optimizer_name == "multimodal"
    assert str(config.training.run_dir) == "o/r"
    assert made(custom={"use_summary": True}).custom.summary_share == 1.0
    assert made(custom={"sample_limit": 9, "val_sample_limit": 2}).custom.val_limit == 2
    assert made(custom={"sample_limit": 9, "val_sample_limit": 2}).custom.train_limit == 9


def test_the_old_monitor_is_accepted_and_says_when_it_has_no_effect() -> None:
    monitor: dict[str, object] = {"trainer_variant": "gkd_monitor"}
    assert notes(made(rlhf=GKD, custom=monitor)) == ()
    assert notes(made(custom=monitor)) == ("custom.trainer_variant: 'gkd_monitor' has no effect without rlhf",)
