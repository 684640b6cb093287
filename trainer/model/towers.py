"""The three towers of Qwen3-VL by the names of their modules: language model, vision encoder, aligner.

The aligner sits inside the vision module: ``model.visual`` minus the aligner is the vision encoder.
"""

from __future__ import annotations

import re
from enum import StrEnum

ALIGNER_MODULES = ("model.visual.merger", "model.visual.deepstack_merger_list")
_WRAPPERS = re.compile(r"^(?:_fsdp_wrapped_module\.|_orig_mod\.|module\.|base_model\.model\.)+")
_INNER = re.compile(r"\.(?:modules_to_save|original_module|base_layer)(?:\.default)?(?=\.|$)")


class Tower(StrEnum):
    """A part of the model that is frozen and trained as one."""

    LLM = "llm"
    VIT = "vit"
    ALIGNER = "aligner"


def plain_name(name: str) -> str:
    """A parameter's or module's name without what peft and the parallel wrappers put around it.

    >>> plain_name("base_model.model.model.visual.merger.modules_to_save.default.norm.weight")
    'model.visual.merger.norm.weight'
    """
    return _INNER.sub("", _WRAPPERS.sub("", name))


def tower_of(name: str) -> Tower:
    """The tower of a module or parameter; ``lm_head`` and whatever else is not vision is the language model's.

    >>> tower_of("model.visual.deepstack_merger_list.0.norm.weight")
    <Tower.ALIGNER: 'aligner'>
    >>> tower_of("model.visual.blocks.0.attn.qkv"), tower_of("lm_head.weight")
    (<Tower.VIT: 'vit'>, <Tower.LLM: 'llm'>)
    """
    name = plain_name(name)
    if any(name == module or name.startswith(f"{module}.") for module in ALIGNER_MODULES):
        return Tower.ALIGNER
    return Tower.VIT if name == "model.visual" or name.startswith("model.visual.") else Tower.LLM
