"""Sections ``model`` and ``template``: which checkpoint, in which precision, and how long a sample may be."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from trainer.config.section import Positive, Section

TINY = "tiny"
"""The value of ``model.model`` that stands for a freshly initialised tiny model."""


class ModelSection(Section):
    """The checkpoint to start from."""

    model: str = Field(
        description="Directory of the Qwen3-VL checkpoint, or its name in the local Hugging Face cache; `tiny` is a freshly "
        "initialised tiny Qwen3-VL with its own tokenizer (demo and smoke runs), seeded by training.seed."
    )
    torch_dtype: Literal["bfloat16", "float32"] = Field(
        default="bfloat16",
        description="Precision of the weights. Full training keeps float32 master weights when float32.",
    )
    attn_impl: Literal["auto", "sdpa", "eager", "flash_attention_2", "varlen"] = Field(
        default="auto",
        description="Attention implementation; `auto`: PyTorch's varlen kernel when packing on CUDA, else sdpa.",
    )
    max_model_len: Positive | None = Field(
        default=None,
        description="Tokens. Old name of the length limit; must equal global_max_length when both are given.",
    )


class TemplateSection(Section):
    """The chat template and the length limit."""

    template: Literal["qwen3_vl"] = Field(default="qwen3_vl", description="Chat template; the checkpoint's own.")
    max_length: Positive = Field(
        default=4096, description="Tokens of one sample, image tokens included. Set it through global_max_length."
    )
    truncation_strategy: Literal["raise", "delete", "right"] = Field(
        default="raise",
        description="What happens to a sample longer than max_length: `raise` stops before training and names the "
        "record, `delete` leaves it out and counts it, `right` cuts the end of the answer.",
    )
