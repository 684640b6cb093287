"""Shards parameters over devices: accelerate's settings, and FSDP2 on CPUs, where accelerate would not use it."""

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
"""Classes of the modules that are sharded as a unit."""


def sharding_options(config: TrainConfig) -> dict[str, Any]:
    """The part of ``TrainingArguments`` that shards a run; empty without ``training.fsdp`` and ``deepspeed``.

    Raises:
        InvalidValue: DeepSpeed is not installed, or accelerate would not shard under this start command or version.
    """
    if not _shards(config):
        return {}
    key, value = ("deepspeed.enabled", True) if config.deepspeed.enabled else ("training.fsdp", config.training.fsdp)
    if config.deepspeed.enabled and find_spec("deepspeed") is None:
        raise InvalidValue(
            key, value, "needs the package: pip install deepspeed --no-build-isolation; or use training.fsdp: fsdp2, "
            "which needs no package",
        )  # fmt: skip
    if "LOCAL_RANK" not in os.environ:  # accelerate would silently train in one process, without sharding
        start = "torchrun --nproc_per_node gpu -m trainer.cli run CONFIG"
        raise InvalidValue(key, value, f"shards over several processes: start it with {start}")
    if not config.deepspeed.enabled and TorchVersion(torch.__version__) < TorchVersion("2.13"):
        raise InvalidValue(
            key, value, f"needs PyTorch 2.13 or later, not {torch.__version__}: before, an output head called in chunks "
            "loses its weights; or use deepspeed zero3",
        )  # fmt: skip
    if config.deepspeed.enabled:
        if os.environ.get("ACCELERATE_USE_CPU", "false").lower() in ("1", "true", "yes"):
            raise InvalidValue(key, value, "has no effect with ACCELERATE_USE_CPU, for accelerate; unset that variable")
        return {"deepspeed": _deepspeed_settings(str(config.deepspeed.config))}
    return {
        "fsdp": True,
        "fsdp_config": {
            "version": 2,
            "transformer_layer_cls_to_wrap": list(BLOCKS),
            "state_dict_type": "FULL_STATE_DICT",  # checkpoints have the same files as those of one device
        },
    }


def refuse_text_only(config: TrainConfig, photos: np.ndarray) -> None:
    """Checks that every record has a photo if the run shards; ``photos`` is the number of photos of each record.

    Raises:
        UnhealthyRun: some have none, and the devices would deadlock.
    """
    # Each call of a sharded block gathers its weights from all devices. A device whose batch has no photo never calls the
    # vision tower, and the others wait in its collectives.
    if _shards(config) and (photos == 0).any():
        raise UnhealthyRun(
            [
                f"{int((photos == 0).sum())} of {len(photos)} samples have no photo: a device with such a batch does not run "
                "the vision tower, and the others wait for its part of the weights. Train and evaluate these samples "
                "without training.fsdp and deepspeed, or remove them from the data"
            ]
        )


def shard_on_cpu(args: TrainingArguments) -> None:
    """Enables FSDP2 in a run over several CPU processes, where accelerate would silently use DDP instead.

    Call it after ``TrainingArguments``, which sets up ``PartialState``, and before the ``Trainer`` is created.
    """
    options: Any = args.fsdp_plugin_args
    if options is not None and PartialState().distributed_type is DistributedType.MULTI_CPU:
        PartialState._shared_state["fsdp_plugin"] = FullyShardedDataParallelPlugin(**options)
        PartialState._shared_state["distributed_type"] = DistributedType.FSDP


def without_tied(model: Any, weights: Mapping[str, Any]) -> dict[str, Any]:
    """The weights without second names of one tensor (``lm_head``, if the model shares it with the embedding).

    Weights gathered from shards are copies, so the saver cannot see that two names share a tensor; the file of one device
    holds it once.
    """
    tied = getattr(model, "all_tied_weights_keys", None) or {}
    return {name: tensor for name, tensor in weights.items() if tied.get(name) not in weights}


def _shards(config: TrainConfig) -> bool:
    return config.training.fsdp is not None or config.deepspeed.enabled


def _deepspeed_settings(name: str) -> dict[str, Any]:
    """DeepSpeed's settings; transformers fills in ``auto`` values from the arguments."""
    stage = {"zero2": 2, "zero3": 3}[name]
    zero: dict[str, Any] = {"stage": stage, "overlap_comm": True, "contiguous_gradients": True}
    if stage == 3:
        zero["stage3_gather_16bit_weights_on_model_save"] = True
        # A block is gathered as a whole. Layer by layer, each release searches the modules that follow: seconds per step.
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
