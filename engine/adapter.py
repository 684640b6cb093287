"""What a LoRA adapter directory (peft) requires of an engine that serves it unmerged, on its base model.

For development: merged checkpoints are faster, and vLLM's adapters in the vision tower are experimental. Adapters that
vLLM would ignore in part or reject are rejected here, with the reason.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vqc.errors import InvalidValue

CONFIG = "adapter_config.json"
_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""The valid values of vLLM's ``--max-lora-rank``."""

_PLAIN_INITS = ("gaussian", "eva", "orthogonal", "lora_ga")
"""Named initialisations that leave the base weights unchanged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapter:
    """A LoRA adapter that vLLM can serve. ``max_rank`` is for the engine's flag; ``base`` is as peft recorded it."""

    directory: Path
    base: str
    max_rank: int


def is_adapter(directory: Path) -> bool:
    """Whether a directory holds a peft adapter rather than a complete model."""
    return (directory / CONFIG).is_file()


def read_adapter(directory: Path) -> Adapter:
    """The adapter in a directory.

    Raises:
        InvalidValue: its configuration cannot be read, or it cannot be served unmerged; the message says why.
    """
    path = directory / CONFIG
    try:
        config: dict[str, Any] = json.loads(path.read_text("utf-8"))
        rank = max([int(config["r"]), *map(int, (config.get("rank_pattern") or {}).values())])
        base = str(config["base_model_name_or_path"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidValue("adapter", str(path), f"must be a LoRA adapter's configuration: {error!r}") from error
    if reason := _obstacle(config, rank):
        merge = "merge it with `vqc-train export CHECKPOINT OUT` and serve OUT"
        raise InvalidValue("adapter", str(directory), f"cannot be served unmerged because {reason}; {merge}")
    return Adapter(directory=directory, base=base, max_rank=next(most for most in _RANKS if rank <= most))


def _obstacle(config: dict[str, Any], rank: int) -> str | None:
    """Why vLLM would not serve the adapter as it was trained; None if it would."""
    init = config.get("init_lora_weights", True)
    if (kind := config.get("peft_type", "LORA")) != "LORA":
        return f"it is of the type {kind}"
    if modules := config.get("modules_to_save"):
        return f"it holds modules_to_save ({', '.join(modules)})"
    if config.get("use_dora"):
        return "it is a DoRA (use_dora)"
    if config.get("lora_bias") or config.get("bias", "none") != "none":
        return "it has biases"
    if isinstance(init, str) and init.lower() not in _PLAIN_INITS:
        return f"its initialisation {init!r} changed the base weights"
    if rank > _RANKS[-1]:
        return f"its rank {rank} is above {_RANKS[-1]}"
    return None
