"""Sections ``model`` and ``template``: the checkpoint, its precision, and the length limit of a sample."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from trainer.config.section import Positive, Section

TINY = "tiny"
"""The value of ``model.model`` for a freshly initialised tiny model."""


class ModelSection(Section):
    """The checkpoint to start from."""

    model: str = Field(
        description="Directory of the Qwen3-VL checkpoint, or its name in the local Hugging Face cache. `tiny` is a freshly "
        "initialised tiny Qwen3-VL with its own tokenizer (for demo and smoke runs), seeded by training.seed."
    )
    torch_dtype: Literal["bfloat16", "float32"] = Field(
        default="bfloat16",
        description="Precision of the weights. With float32, full training keeps float32 master weights.",
    )
    attn_impl: Literal["auto", "sdpa", "eager", "flash_attention_2", "varlen"] = Field(
        default="auto",
        description="Attention implementation. `auto`: PyTorch's varlen kernel when packing on CUDA, else sdpa.",
    )
    max_model_len: Positive | None = Field(
        default=None,
        description="Old name of the length limit, tokens; must equal global_max_length when both are set.",
    )


class TemplateSection(Section):
    """The chat template and the length limit."""

    template: Literal["qwen3_vl"] = Field(default="qwen3_vl", description="Chat template: the checkpoint's own.")
    max_length: Positive = Field(
        default=4096,
        description="Longest sample, tokens (image tokens included). Set global_max_length instead.",
    )
    truncation_strategy: Literal["raise", "delete", "right"] = Field(
        default="raise",
        description="What happens to a sample longer than max_length: `raise` stops before training and names the "
        "record, `delete` removes and counts it, `right` cuts the end of its answer.",
    )
