"""Parameters sharded over devices: which settings accelerate gets, and FSDP2 where accelerate would leave it out."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from accelerate import DistributedType, PartialState
from accelerate.utils import FullyShardedDataParallelPlugin
from transformers import TrainingArguments

from trainer.training.trouble import UnhealthyRun
from vqc.errors import InvalidValue

if TYPE_CHECKING:
    from trainer.config import TrainConfig

BLOCKS = ("Qwen3VLTextDecoderLayer", "Qwen3VLVisionBlock")
"""Modules that are sharded each by itself."""


def sharding_options(config: TrainConfig, *, text_only_samples: bool) -> dict[str, Any]:
    """The part of ``TrainingArguments`` that shards a run; empty without ``training.fsdp`` and ``deepspeed``.

    Raises:
        InvalidValue: a single process, or DeepSpeed without its package.
        UnhealthyRun: samples without photos, at which devices would wait for each other for ever.
    """
    if config.training.fsdp is None and not config.deepspeed.enabled:
        return {}
    if text_only_samples:
        raise UnhealthyRun(
            [
                "some samples have no photo: a device with such a batch passes the vision tower by while the others wait for "
                "its part of the weights. Train them without training.fsdp and deepspeed, or leave them out of the data"
            ]
        )
    if config.deepspeed.enabled:
        if find_spec("deepspeed") is None:
            raise InvalidValue(
                "deepspeed.enabled", True, "needs the package: pip install deepspeed --no-build-isolation; or "
                "use training.fsdp: fsdp2, which needs nothing more",
            )  # fmt: skip
        return {"deepspeed": _deepspeed(str(config.deepspeed.config))}
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        raise InvalidValue(
            "training.fsdp", config.training.fsdp,
            "shards over several devices: start it with torchrun --nproc_per_node gpu -m trainer.cli run CONFIG",
        )  # fmt: skip
    return {
        "fsdp": True,
        "fsdp_config": {
            "version": 2,
            "transformer_layer_cls_to_wrap": list(BLOCKS),
            "state_dict_type": "FULL_STATE_DICT",  # checkpoints are the files that one device would write
        },
    }


def shard_on_cpu(args: TrainingArguments) -> None:
    """Switches FSDP2 on in a run over several CPU processes, where accelerate would silently run DDP instead.

    To be called between ``TrainingArguments``, which set ``PartialState`` up, and the ``Trainer``.
    """
    options: Any = args.fsdp_plugin_args
    if options is not None and PartialState().distributed_type is DistributedType.MULTI_CPU:
        PartialState._shared_state["fsdp_plugin"] = FullyShardedDataParallelPlugin(**options)
        PartialState._shared_state["distributed_type"] = DistributedType.FSDP


def without_tied(model: Any, weights: Mapping[str, Any]) -> dict[str, Any]:
    """The weights without second names of one tensor (``lm_head`` of a model that shares it with the embedding).

    Gathered from shards they are copies, which a file of one device does not hold.
    """
    tied = getattr(model, "all_tied_weights_keys", None) or {}
    return {name: tensor for name, tensor in weights.items() if tied.get(name) not in weights}


def _deepspeed(name: str) -> dict[str, Any]:
    """DeepSpeed's settings; ``auto`` values are filled in from the arguments."""
    stage = {"zero2": 2, "zero3": 3}[name]
    zero: dict[str, Any] = {"stage": stage, "overlap_comm": True, "contiguous_gradients": True}
    if stage == 3:
        zero["stage3_gather_16bit_weights_on_model_save"] = True
    return {
        "bf16": {"enabled": "auto"},
        "zero_optimization": zero,
        "gradient_accumulation_steps": "auto",
        "gradient_clipping": "auto",
        "train_batch_size": "auto",
        "train_micro_batch_size_per_gpu": "auto",
        "zero_allow_untested_optimizer": True,
    }
