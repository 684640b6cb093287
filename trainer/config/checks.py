"""Checks across keys: keys that contradict each other, or that another key leaves without effect. Each comes with advice."""

from __future__ import annotations

from collections.abc import Iterator

from trainer.config.distillation_checks import distillation_findings
from trainer.config.root import TrainConfig
from trainer.config.training import MIN_LR_SCHEDULERS
from vqc.errors import InvalidValue
from vqc.missions import mission_named

Finding = tuple[str, str]
"""(dotted key, what is wrong with it and how to fix it)."""

_OWN_KEYS = {
    "lora": ("lora_rank", "lora_alpha", "lora_dropout", "lora_bias", "use_dora", "use_rslora", "init_weights"),
    "adalora": ("lora_alpha", "lora_dropout"),
}
_PLACEHOLDERS = (("dummy",), ("placeholder",), ("[placeholder]",))
"""What ms-swift needs in ``data.dataset`` when the records come from elsewhere."""
_PREFIXES = {"adalora_": "adalora", "boft_": "boft", "fourier_": "fourierft"}
_ADAPTER_KEYS = ("target_modules", "target_regex", "modules_to_save")


def findings(config: TrainConfig) -> Iterator[Finding]:
    """Every inconsistency, as (dotted key, advice)."""
    yield from _length(config)
    yield from _tuner(config)
    yield from _optimizer(config)
    yield from _loop(config)
    yield from _saving(config)
    yield from _data(config)
    yield from _sharding(config)
    yield from distillation_findings(config)


def notes(config: TrainConfig) -> tuple[str, ...]:
    """Keys that are accepted but have no effect, one sentence each, for the log."""
    found = []
    for name in ("dataset", "val_dataset"):
        if getattr(config.data, name):
            found.append(f"data.{name}: {list(getattr(config.data, name))!r} is a placeholder and is ignored")
    if config.deepspeed.config and not config.deepspeed.enabled:
        found.append("deepspeed.config has no effect while deepspeed.enabled is false")
    if config.custom.trainer_variant and config.rlhf is None:
        found.append("custom.trainer_variant: 'gkd_monitor' has no effect without rlhf")
    return tuple(found)


def _length(config: TrainConfig) -> Iterator[Finding]:
    limit = config.template.max_length
    if config.model.max_model_len not in (None, limit):
        yield (
            "model.max_model_len",
            f"{config.model.max_model_len!r} differs from the longest sample, {limit!r}; set global_max_length alone",
        )
    packing_length = config.training.packing_length
    if packing_length is not None and not config.training.packing:
        yield "training.packing_length", "has no effect without packing: true; remove it or enable packing"
    elif packing_length is not None and packing_length < limit:
        yield (
            "training.packing_length",
            f"{packing_length!r} is shorter than the longest sample, {limit!r}; set it to at least {limit!r}",
        )
    if config.training.packing and config.training.group_by_length:
        yield "training.group_by_length", "has no effect with packing, which needs no padding; remove one of the two"


def _tuner(config: TrainConfig) -> Iterator[Finding]:
    tuner = config.tuner
    kind = tuner.tuner_type
    for name in _non_default_keys(tuner):
        owner = next((owner for prefix, owner in _PREFIXES.items() if name.startswith(prefix)), None)
        if owner is None and name in _OWN_KEYS["lora"]:
            owner = "adalora" if kind == "adalora" and name in _OWN_KEYS["adalora"] else "lora"
        if owner is not None and owner != kind:
            yield f"tuner.{name}", f"belongs to tuner_type {owner!r} and has no effect with {kind!r}; set it to null"
        if kind == "full" and name in _ADAPTER_KEYS:
            yield (
                f"tuner.{name}",
                "has no effect with tuner_type 'full', which trains whole towers; choose them with freeze_llm, "
                "freeze_vit and freeze_aligner, or set it to null",
            )
    if tuner.target_regex is not None and "target_modules" in _non_default_keys(tuner):
        yield "tuner.target_regex", "replaces target_modules; set one of the two to null"
    if kind == "boft" and (tuner.boft_block_size == 0) == (tuner.boft_block_num == 0):
        yield "tuner.boft_block_size", "exactly one of boft_block_size and boft_block_num must be 0"
    all_frozen = tuner.freeze_llm and tuner.freeze_vit and tuner.freeze_aligner
    if (
        all_frozen
        and tuner.target_regex is None
        and not tuner.modules_to_save
        and (kind == "full" or tuner.target_modules == ("all-linear",))
    ):
        yield "tuner.freeze_llm", "all three towers are frozen, so nothing would be trained; unfreeze one of them"
    for name in tuner.modules_to_save:
        if name.endswith("deepstack_merger_list"):
            yield (
                "tuner.modules_to_save",
                f"{name!r} is a list of modules and cannot be saved as one; name {name}.0, {name}.1, … each",
            )


def _optimizer(config: TrainConfig) -> Iterator[Finding]:
    training, tuner = config.training, config.tuner
    for key, tower in (("vit_lr", "freeze_vit"), ("aligner_lr", "freeze_aligner")):
        if getattr(training, key) is None:
            continue
        if training.optimizer == "adamw":
            yield f"training.{key}", "needs optimizer: multimodal; 'adamw' has one rate for all towers"
        elif getattr(tuner, tower) and tuner.target_regex is None and not tuner.modules_to_save:
            yield f"training.{key}", f"has no effect while tuner.{tower} is true; unfreeze the tower or set it to null"
    kwargs = training.lr_scheduler_kwargs
    if training.lr_scheduler_type not in MIN_LR_SCHEDULERS:
        for key in _non_default_keys(kwargs):
            yield (
                f"training.lr_scheduler_kwargs.{key}",
                f"has no effect with {training.lr_scheduler_type!r}; use lr_scheduler_type: {MIN_LR_SCHEDULERS[0]}",
            )
    if kwargs.min_lr is not None and kwargs.min_lr_rate is not None:
        yield "training.lr_scheduler_kwargs.min_lr_rate", "sets the same as min_lr; keep one"
    if kwargs.min_lr is not None and kwargs.min_lr > training.learning_rate:
        yield (
            "training.lr_scheduler_kwargs.min_lr",
            f"{kwargs.min_lr!r} is above learning_rate {training.learning_rate!r}; the floor must be below the peak",
        )
    if training.warmup_ratio and training.warmup_steps:
        yield "training.warmup_steps", "sets the same as warmup_ratio; keep one"
    if training.lr_scheduler_type == "constant" and (training.warmup_ratio or training.warmup_steps):
        key = "warmup_ratio" if training.warmup_ratio else "warmup_steps"
        yield f"training.{key}", "has no effect with 'constant'; use lr_scheduler_type: constant_with_warmup"


def _loop(config: TrainConfig) -> Iterator[Finding]:
    training = config.training
    if training.max_steps is not None and "num_train_epochs" in _non_default_keys(training):
        yield "training.num_train_epochs", "has no effect beside max_steps; set one of the two to null"
    for name in training.report_to:
        if name not in ("tensorboard", "none"):
            yield "training.report_to", f"{name!r} is not supported; valid: 'tensorboard', 'none'"
    if "none" in training.report_to and len(training.report_to) > 1:
        yield "training.report_to", f"{list(training.report_to)!r} contradicts itself; 'none' must be the only entry"
    if training.torch_compile and training.use_liger_kernel:
        yield (
            "training.use_liger_kernel",
            "cannot be compiled; with torch_compile, which fuses the same operations, set it to false",
        )
    if training.resume_only_model and training.resume_from_checkpoint is None:
        yield "training.resume_only_model", "has no effect without training.resume_from_checkpoint"
    if training.resume_from_checkpoint is not None and config.tuner.resume_from_checkpoint is not None:
        yield (
            "tuner.resume_from_checkpoint",
            "starts a new stage while training.resume_from_checkpoint continues a run; keep one",
        )
    if training.vit_gradient_checkpointing and not _vit_is_trained(config):
        yield (
            "training.vit_gradient_checkpointing",
            "has no effect while the vision encoder is frozen (tuner.freeze_vit); set it to null",
        )
    if training.dataloader_num_workers == 0:
        for key in ("dataloader_prefetch_factor", "dataloader_persistent_workers"):
            if getattr(training, key):
                yield f"training.{key}", "has no effect with dataloader_num_workers: 0; set it to null"


def _saving(config: TrainConfig) -> Iterator[Finding]:
    training, custom = config.training, config.custom
    evaluates = training.eval_strategy != "no"
    has_val = custom.val_jsonl is not None or (custom.scenes is not None and custom.scenes.val is not None)
    if evaluates and not has_val:
        yield "training.eval_strategy", "needs records to evaluate on: set custom.val_jsonl (or custom.scenes.val)"
    if training.eval_steps is not None and training.eval_strategy != "steps":
        yield "training.eval_steps", f"has no effect with eval_strategy {training.eval_strategy!r}; use 'steps'"
    if "save_steps" in _non_default_keys(training) and training.save_strategy != "steps":
        yield "training.save_steps", f"has no effect with save_strategy {training.save_strategy!r}; set it to null"
    if training.save_strategy == "best" and training.metric_for_best_model is None:
        yield "training.save_strategy", "'best' needs metric_for_best_model, such as eval_loss"
    if training.load_best_model_at_end and training.metric_for_best_model is None:
        yield "training.load_best_model_at_end", "needs metric_for_best_model, such as eval_loss"
    if training.metric_for_best_model is not None and not evaluates:
        yield "training.metric_for_best_model", "has no effect without evaluation; set eval_strategy"
    if training.greater_is_better is not None and training.metric_for_best_model is None:
        yield "training.greater_is_better", "has no effect without metric_for_best_model"
    if training.save_delay_steps is not None and training.save_delay_epochs is not None:
        yield "training.save_delay_epochs", "sets the same as save_delay_steps; keep one"
    for key in ("save_delay_steps", "save_delay_epochs", "save_total_limit"):
        if getattr(training, key) is not None and training.save_strategy == "no":
            yield f"training.{key}", "has no effect with save_strategy 'no'; set it to null"


def _data(config: TrainConfig) -> Iterator[Finding]:
    custom = config.custom
    for name in ("dataset", "val_dataset"):
        value = getattr(config.data, name)
        if value and value not in _PLACEHOLDERS:
            yield (
                f"data.{name}",
                f"{list(value)!r} is not read; name the records in custom.{'val' if 'val' in name else 'train'}_jsonl",
            )
    if (custom.train_jsonl is None) == (custom.scenes is None):
        given = "both are" if custom.scenes else "neither is"
        yield "custom.train_jsonl", f"exactly one of custom.train_jsonl and custom.scenes is needed; {given} given"
    if custom.scenes is not None and custom.val_jsonl is not None:
        yield (
            "custom.val_jsonl",
            "contradicts custom.scenes, which draws its own evaluation data: use custom.scenes.val",
        )
    if custom.use_summary and custom.summary_ratio is not None:
        yield "custom.summary_ratio", "has no effect with use_summary: true, which trains on summaries only; keep one"
    if custom.dump_conversation_path is not None and not custom.dump_conversation_text:
        yield "custom.dump_conversation_path", "has no effect without dump_conversation_text: true"
    if not custom.augmentation.enabled and custom.bypass_prob:
        yield "custom.bypass_prob", "has no effect without augmentation; set custom.augmentation"
    if custom.augmentation.bypass_prob is not None and custom.bypass_prob not in (0.0, custom.augmentation.bypass_prob):
        yield "custom.bypass_prob", "contradicts custom.augmentation.bypass_prob; keep one"
    if custom.augmentation.enabled and not custom.augmentation.ops:
        yield "custom.augmentation.ops", "is empty; list operations, or set enabled: false"
    for name in config.prompts.missions:
        try:
            mission_named(name)
        except InvalidValue as error:
            yield "prompts.missions", str(error)


def _sharding(config: TrainConfig) -> Iterator[Finding]:
    if config.deepspeed.enabled and config.deepspeed.config is None:
        yield "deepspeed.config", "must be zero2 or zero3 when deepspeed is enabled"
    if config.deepspeed.enabled and config.training.fsdp:
        yield "training.fsdp", "contradicts deepspeed.enabled; use only one of the two"


def _vit_is_trained(config: TrainConfig) -> bool:
    tuner = config.tuner
    return (
        not tuner.freeze_vit
        or tuner.target_regex is not None
        or any("visual.blocks" in m for m in tuner.modules_to_save)
    )


def _non_default_keys(section: object) -> list[str]:
    """The keys that are set to another value than their default."""
    fields = type(section).model_fields  # type: ignore[attr-defined]
    given: set[str] = section.model_fields_set  # type: ignore[attr-defined]
    return [name for name in fields if name in given and getattr(section, name) != fields[name].get_default()]
