"""Builds transformers' ``TrainingArguments`` from a configuration. Whatever this trainer does itself is disabled there."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import torch
from transformers import TrainingArguments

from trainer.model.towers import Tower
from trainer.model.tuners import frozen_towers
from trainer.training.logs import get_logger
from trainer.training.sharding import shard_on_cpu, sharding_options

if TYPE_CHECKING:
    from trainer.config import TrainConfig

LOG = get_logger("trainer.run")


def on_cuda() -> bool:
    """Whether there is a GPU; without one everything is computed in float32."""
    return torch.cuda.is_available()


def autocasts(config: TrainConfig) -> bool:
    """Whether the run computes in bfloat16 autocast."""
    return config.training.bf16 and on_cuda()


def weight_dtype(config: TrainConfig) -> torch.dtype:
    """The precision in which weights are loaded."""
    return getattr(torch, config.model.torch_dtype) if on_cuda() else torch.float32


def set_up_ranks(config: TrainConfig) -> None:
    """Sets up torch.distributed and this rank's device, as transformers does when it creates arguments.

    Raises:
        InvalidValue: as ``sharding_options``.
    """
    # The arguments are discarded, not kept for the run: while arguments with ZeRO-3 exist, transformers partitions every
    # model that it loads.
    training_arguments(config)


def training_arguments(config: TrainConfig, *, text_only_samples: bool = False) -> TrainingArguments:
    """The arguments of a run. ``text_only_samples``: some batches may have no photos, so vision towers get no gradient."""
    training = config.training
    vision_trains = not {Tower.VIT, Tower.ALIGNER} <= frozen_towers(config.tuner) or bool(config.tuner.modules_to_save)
    workers = training.dataloader_num_workers
    args = TrainingArguments(
        output_dir=str(training.run_dir),
        run_name=training.run_name,
        seed=training.seed,
        num_train_epochs=training.num_train_epochs,
        max_steps=training.max_steps or -1,
        per_device_train_batch_size=training.per_device_train_batch_size,
        per_device_eval_batch_size=training.per_device_eval_batch_size,
        gradient_accumulation_steps=training.gradient_accumulation_steps,
        learning_rate=training.learning_rate,
        weight_decay=training.weight_decay,
        max_grad_norm=training.max_grad_norm,
        average_tokens_across_devices=True,
        bf16=autocasts(config),
        use_cpu=not on_cuda(),
        eval_strategy=training.eval_strategy,
        eval_steps=training.eval_steps or training.logging_steps,
        save_strategy=training.save_strategy,
        save_steps=training.save_steps,
        save_total_limit=training.save_total_limit,
        metric_for_best_model=training.metric_for_best_model,
        greater_is_better=training.greater_is_better,
        logging_steps=training.logging_steps,
        logging_first_step=training.logging_first_step,
        logging_nan_inf_filter=False,
        report_to="none",
        remove_unused_columns=False,
        dataloader_num_workers=workers,
        dataloader_pin_memory=training.dataloader_pin_memory and on_cuda(),
        dataloader_persistent_workers=training.dataloader_persistent_workers and workers > 0,
        dataloader_prefetch_factor=training.dataloader_prefetch_factor if workers else None,
        ddp_find_unused_parameters=text_only_samples and vision_trains,
        ddp_broadcast_buffers=False,
        log_level="warning",
        **sharding_options(config),
    )
    shard_on_cpu(args)
    LOG.debug("training arguments %s", json.dumps(args.to_dict(), sort_keys=True, default=str))  # masks access tokens
    return args
