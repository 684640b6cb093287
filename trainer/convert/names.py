"""The counterpart of each of our keys in ms-swift, and the keys that only one of the two has."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files

from trainer.config.legacy import REFUSED
from trainer.config.training import TrainingSection
from trainer.config.tuner import TunerSection

_OWN_TRAINING = ("coordinate_sigma", "save_last_epoch", "save_delay_steps", "save_delay_epochs")
SPECIAL = {
    "model.attn_impl": "attn_impl",
    "global_max_length": "max_length",
    "template.max_length": "max_length",
    "template.truncation_strategy": "truncation_strategy",
    "tuner.resume_from_checkpoint": "adapters",
    "training.output_dir": "output_dir",
    "training.run_name": "run_name",
    "training.max_steps": "max_steps",
    "training.optimizer": "optimizer",
    "training.lr_scheduler_kwargs.min_lr": "lr_scheduler_kwargs",
    "training.lr_scheduler_kwargs.min_lr_rate": "lr_scheduler_kwargs",
    "training.fsdp": "fsdp",
    "custom.train_jsonl": "dataset",
    "custom.val_jsonl": "val_dataset",
    "deepspeed.enabled": "deepspeed",
    "deepspeed.config": "deepspeed",
}
"""Our dotted key → ms-swift's, where the form of the value differs too."""

SAME = {
    **{f"model.{name}": name for name in ("model", "torch_dtype")},
    "template.template": "template",
    **{f"tuner.{name}": name for name in TunerSection.model_fields},
    **{f"training.{name}": name for name in TrainingSection.model_fields if name not in _OWN_TRAINING},
    **{
        f"rlhf.{name}": name
        for name in (
            "rlhf_type", "teacher_model", "beta", "temperature", "sft_alpha", "lmbda", "seq_kd", "max_completion_length",
        )
    },
    "custom.emit_norm": "norm_bbox",
}  # fmt: skip
SAME = {ours: theirs for ours, theirs in SAME.items() if ours not in SPECIAL and ours != "training.lr_scheduler_kwargs"}
"""Our dotted key → ms-swift's, which accepts the same values."""

SERVED = (
    "use_vllm", "vllm_mode", "vllm_server_host", "vllm_server_port", "vllm_server_timeout", "vllm_sync_frequency",
)  # fmt: skip
_ROLLOUT = (
    "means a plain vLLM server in this trainer and a `swift rollout` server in ms-swift: start the other kind of server "
    "and set the keys again"
)

_SAMPLE_LIMIT = "is appended to the file name in ms-swift (FILE#N), where it samples at random"

OURS_ONLY = {
    "model.max_model_len": "is an old name of the length limit",
    "training.coordinate_sigma": "has no counterpart: ms-swift has no soft targets for coordinates",
    "training.save_last_epoch": "has no counterpart: ms-swift always saves the last step",
    "training.save_delay_steps": "has no counterpart: write a callback (callbacks)",
    "training.save_delay_epochs": "has no counterpart: write a callback (callbacks)",
    "rlhf.llm_kd_weight": "has no counterpart: the divergence always has weight 1",
    **{f"rlhf.{name}": _ROLLOUT for name in SERVED},
    "rlhf.teacher_cache": "has no counterpart; gkd_logits_topk with a teacher server is similar",
    "data": "is a placeholder",
    "custom.inspections": "has no counterpart: ms-swift's prompts are in the records",
    "custom.scenes": "has no counterpart: draw the records first (`vqc-train scenes`) and name the JSONL file",
    "custom.root_image_dir": "is the environment variable ROOT_IMAGE_DIR in ms-swift",
    "custom.max_image_bytes": "has no counterpart: ms-swift reads files of any size",
    "custom.use_summary": "has no counterpart: write the messages into the records",
    "custom.summary_ratio": "has no counterpart: write the messages into the records",
    "custom.augmentation": "has no counterpart: photos are not augmented",
    "custom.bypass_prob": "has no counterpart: photos are not augmented",
    "custom.visual_kd": "has no counterpart: features are not distilled",
    "custom.trainer_variant": "has no counterpart: ms-swift logs one loss",
    "custom.sample_limit": _SAMPLE_LIMIT,
    "custom.train_sample_limit": _SAMPLE_LIMIT,
    "custom.val_sample_limit": _SAMPLE_LIMIT,
    "custom.dump_conversation_text": "has no counterpart",
    "custom.dump_conversation_path": "has no counterpart",
    "prompts": "has no counterpart: write the messages into the records",
}
"""Our dotted key, or a section → why ms-swift cannot express it."""

OLD_NAMES = {
    "train_type": "tuner_type",
    "sft_type": "tuner_type",
    "evaluation_strategy": "eval_strategy",
    "dtype": "torch_dtype",
    "attn_implementation": "attn_impl",
}
"""Names of ms-swift 3 and older → names of ms-swift 4."""

WITHOUT_EFFECT = frozenset(
    {
        "add_version", "logging_dir", "data_seed", "check_model", "use_hf", "load_args", "load_data_args", "swift_version",
        "rank", "local_rank", "global_world_size", "local_world_size", "model_suffix", "model_info", "model_meta", "model_dir",
        "hub", "training_args", "ckpt_dir", "task_type", "model_type", "teacher_model_type", "accelerator_config",
        "remove_unused_columns", "dataset_num_proc", "packing_num_proc", "save_safetensors", "lazy_tokenize",
        "padding_free", "gradient_checkpointing_kwargs", "create_checkpoint_symlink", "load_from_cache_file", "fsdp_config",
        "ddp_backend", "ddp_timeout",
    }
)  # fmt: skip
"""Arguments without effect on the result here, or that ms-swift derives from others and writes to args.json."""

TOWERS = frozenset(
    {"model.language_model", "lm_head", "model.visual", "model.visual.merger", "model.visual.deepstack_merger_list"}
)
"""Entries that ms-swift writes into freeze_parameters and trainable_parameters for the freeze flags."""


@cache
def swift_defaults() -> dict[str, dict[str, object]]:
    """ms-swift 4.6's defaults: ``sft``, and in ``rlhf`` those that distillation changes."""
    return json.loads(files("trainer.convert").joinpath("swift_defaults.json").read_text("utf-8"))


def why_lost(name: str) -> str:
    """Why an argument of ms-swift is not converted."""
    if name in SERVED:
        return _ROLLOUT
    for key, sentence in REFUSED.items():
        if key.rpartition(".")[2] == name:
            return sentence
    return "has no counterpart"
