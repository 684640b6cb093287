"""Parameters sharded over devices: which settings accelerate gets, and FSDP2 where accelerate would leave it out."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from accelerate import DistributedType, PartialState
from accelerate.utils import FullyShardedDataParallelPlugin
from torch.torch_version import TorchVersion
from transformers import TrainingArguments

from trainer.training.errors import UnhealthyRun
from vqc.errors import InvalidValue

if TYPE_CHECKING:
    from trainer.config import TrainConfig

BLOCKS = ("Qwen3VLTextDecoderLayer", "Qwen3VLVisionBlock")
"""Modules that are sharded each by itself."""


def sharding_options(config: TrainConfig) -> dict[str, Any]:
    """The part of ``TrainingArguments`` that shards a run; empty without ``training.fsdp`` and ``deepspeed``.

    Raises:
        InvalidValue: DeepSpeed without its package, or a start that accelerate would answer by not sharding.
    """
    if not _shards(config):
        return {}
    key, value = ("deepspeed.enabled", True) if config.deepspeed.enabled else ("training.fsdp", config.training.fsdp)
    if config.deepspeed.enabled and find_spec("deepspeed") is None:
        raise InvalidValue(
            key, value, "needs the package: pip install deepspeed --no-build-isolation; or use training.fsdp: fsdp2, "
            "which needs nothing more",
        )  # fmt: skip
    if "LOCAL_RANK" not in os.environ:
        start = "torchrun --nproc_per_node gpu -m trainer.cli run CONFIG"
        raise InvalidValue(key, value, f"shards over several processes: start it with {start}")
    if not config.deepspeed.enabled and TorchVersion(torch.__version__) < TorchVersion("2.13"):
        raise InvalidValue(
            key, value, f"needs PyTorch 2.13 or later, not {torch.__version__}: before, an output head that is called in parts "
            "loses its weights; or use deepspeed zero3",
        )  # fmt: skip
    if config.deepspeed.enabled:
        if os.environ.get("ACCELERATE_USE_CPU", "false").lower() in ("1", "true", "yes"):
            raise InvalidValue(key, value, "is ignored by accelerate under ACCELERATE_USE_CPU; unset that variable")
        return {"deepspeed": _deepspeed_settings(str(config.deepspeed.config))}
    return {
        "fsdp": True,
        "fsdp_config": {
            "version": 2,
            "transformer_layer_cls_to_wrap": list(BLOCKS),
            "state_dict_type": "FULL_STATE_DICT",  # checkpoints are the files that one device would write
        },
    }


def refuse_text_only(config: TrainConfig, photos: np.ndarray) -> None:
    """Nothing, or why these records (by their number of photos) cannot be sharded.

    Raises:
        UnhealthyRun: some have no photo, and devices would wait for each other for ever.
    """
    if _shards(config) and (photos == 0).any():
        raise UnhealthyRun(
            [
                f"{int((photos == 0).sum())} of {len(photos)} samples have no photo: a device with such a batch passes the "
                "vision tower by while the others wait for its part of the weights. Train and evaluate them without "
                "training.fsdp and deepspeed, or leave them out of the data"
            ]
        )


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


def _shards(config: TrainConfig) -> bool:
    return config.training.fsdp is not None or config.deepspeed.enabled


def _deepspeed_settings(name: str) -> dict[str, Any]:
    """DeepSpeed's settings; ``auto`` values are filled in from the arguments."""
    stage = {"zero2": 2, "zero3": 3}[name]
    zero: dict[str, Any] = {"stage": stage, "overlap_comm": True, "contiguous_gradients": True}
    if stage == 3:
        zero["stage3_gather_16bit_weights_on_model_save"] = True
        # Else each layer of a block is gathered, and its release looks through what comes after: seconds a step of Python.
        zero["leaf_module"] = {"classes": list(BLOCKS)}
    return {
        "bf16": {"enabled": "auto"},
        "zero_optimization": zero,
        "gradient_accumulation_steps": "auto",
        "gradient_clipping": "auto",
        "train_batch_size": "auto",
        "train_micro_batch_size_per_gpu": "auto",
        "zero_allow_untested_optimizer": True,
    }
