"""The three towers of Qwen3-VL by module names: language model, vision encoder, aligner.

The aligner is inside the vision module: ``model.visual`` without the aligner is the vision encoder.
"""

from __future__ import annotations

import re
from enum import StrEnum

ALIGNER_MODULES = ("model.visual.merger", "model.visual.deepstack_merger_list")
_WRAPPERS = re.compile(r"^(?:_fsdp_wrapped_module\.|_orig_mod\.|module\.|base_model\.model\.)+")
_INNER = re.compile(r"\.(?:modules_to_save|original_module|base_layer)(?:\.default)?(?=\.|$)")


class Tower(StrEnum):
    """A part of the model that is frozen or trained as a unit."""

    LLM = "llm"
    VIT = "vit"
    ALIGNER = "aligner"


def plain_name(name: str) -> str:
    """The name of a parameter or module without the parts that peft and the parallel wrappers add.

    >>> plain_name("base_model.model.model.visual.merger.modules_to_save.default.norm.weight")
    'model.visual.merger.norm.weight'
    """
    return _INNER.sub("", _WRAPPERS.sub("", name))


def tower_of(name: str) -> Tower:
    """The tower of a module or parameter; everything outside the vision module, ``lm_head`` too, is the language model.

    >>> tower_of("model.visual.deepstack_merger_list.0.norm.weight")
    <Tower.ALIGNER: 'aligner'>
    >>> tower_of("model.visual.blocks.0.attn.qkv"), tower_of("lm_head.weight")
    (<Tower.VIT: 'vit'>, <Tower.LLM: 'llm'>)
    """
    name = plain_name(name)
    if any(name == module or name.startswith(f"{module}.") for module in ALIGNER_MODULES):
        return Tower.ALIGNER
    return Tower.VIT if name == "model.visual" or name.startswith("model.visual.") else Tower.LLM
