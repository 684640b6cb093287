"""Converts this trainer's keys to ms-swift's arguments."""

from __future__ import annotations

from typing import Any, Literal

from trainer.config import TrainConfig
from trainer.convert.flat import non_default_values
from trainer.convert.names import OURS_ONLY, SAME, swift_defaults
from trainer.convert.result import Conversion, LostKey


def to_swift(config: TrainConfig, *, version: Literal[3, 4] = 4) -> Conversion:
    """The arguments of ``swift sft`` (with ``rlhf``: ``swift rlhf``) as a flat mapping without ms-swift's defaults."""
    defaults = swift_defaults()
    known = {**defaults["sft"], **(defaults["rlhf"] if config.rlhf else {})}
    values, lost = _special(config)
    for ours, theirs in SAME.items():
        value = _value(config, ours)
        if value is not None:
            values[theirs] = list(value) if isinstance(value, tuple) else value
    if config.tuner.target_regex is not None:
        values.pop("target_modules", None)
    if config.rlhf and config.rlhf.seq_kd and version == 4:
        lost.append(
            LostKey(key="rlhf.seq_kd", value=True, why="was removed in ms-swift 4; generate the answers beforehand")
        )
        del values["seq_kd"]
    if config.training.optimizer == "muon":
        lost.append(
            LostKey(key="training.optimizer", value="muon", why="is another Muon in ms-swift; AdamW is written")
        )
    values_set = non_default_values(config)
    for own, why in OURS_ONLY.items():
        found = {key: value for key, value in values_set.items() if f"{key}.".startswith(f"{own}.")}
        if found:
            lost.append(LostKey(key=own, value=found.get(own, found), why=why))
    tree = {name: value for name, value in values.items() if name not in known or value != known[name]}
    if version == 3 and "tuner_type" in tree:
        tree["train_type"] = tree.pop("tuner_type")
    return Conversion(tree=tree, lost=tuple(lost))


def _special(config: TrainConfig) -> tuple[dict[str, Any], list[LostKey]]:
    """(arguments whose form differs, keys without a counterpart)."""
    training, lost = config.training, []
    values: dict[str, Any] = {
        "output_dir": str(training.run_dir),
        "add_version": False,
        "max_length": config.max_length,
        "dataset": _dataset(config.custom.train_jsonl),
        "val_dataset": _dataset(config.custom.val_jsonl),
        "attn_impl": _attention(config),
        "truncation_strategy": config.template.truncation_strategy,
        "fsdp": training.fsdp,
        "deepspeed": config.deepspeed.config if config.deepspeed.enabled else None,
        "lr_scheduler_kwargs": training.lr_scheduler_kwargs.model_dump(exclude_none=True) or None,
    }
    if training.run_name:
        values["run_name"] = training.run_name
    if training.optimizer == "multimodal":
        values["optimizer"] = training.optimizer
    if training.max_steps:
        values["max_steps"] = training.max_steps
    if config.tuner.resume_from_checkpoint:
        values["adapters"] = [config.tuner.resume_from_checkpoint]
    if config.template.truncation_strategy == "raise":
        values["truncation_strategy"] = "delete"
        why = "has no counterpart: ms-swift removes samples that are too long"
        lost.append(LostKey(key="template.truncation_strategy", value="raise", why=why))
    if config.model.attn_impl == "varlen":
        lost.append(
            LostKey(key="model.attn_impl", value="varlen", why="has no counterpart: packing needs flash_attention_2")
        )
    if config.tuner.lora_bias == "lora_only" and config.tuner.tuner_type in ("lora", "adalora"):
        lost.append(LostKey(key="tuner.lora_bias", value="lora_only", why="has no counterpart"))
    if training.eval_strategy == "steps" and training.eval_steps is None:
        values["eval_steps"] = training.logging_steps
    if config.custom.train_jsonl is None:
        why = "is not set: write the synthetic records to a file first and name it in dataset"
        lost.append(LostKey(key="custom.train_jsonl", value=None, why=why))
    return {name: value for name, value in values.items() if value is not None}, lost


def _attention(config: TrainConfig) -> str | None:
    """ms-swift's attention; it accepts packing only with flash attention by name."""
    chosen = config.model.attn_impl
    if config.training.packing and chosen in ("auto", "varlen"):
        return "flash_attention_2"
    return None if chosen in ("auto", "varlen") else chosen


def _dataset(path: str | None) -> list[str] | None:
    return [path] if path else None


def _value(config: TrainConfig, key: str) -> Any:
    node: Any = config
    for name in key.split("."):
        node = getattr(node, name, None)
    return node
