"""Attention over packed sequences in one kernel call, registered with transformers as ``varlen_flash``.

On CUDA in half precision it is PyTorch's own varlen kernel (no flash-attention wheel needed). Elsewhere it is one
scaled-dot-product call per sequence: slow and exact, which is what the tests run. The name contains "flash" so that
transformers passes the vision tower's boundaries in one call. There is no attention mask: padded batches are an error.

Axes: T tokens, H heads, D head size.
"""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention

try:
    from torch.nn.attention.varlen import varlen_attn
except ImportError:
    varlen_attn = None

NAME = "varlen_flash"

_OPTIONS = frozenset(inspect.signature(varlen_attn).parameters) if varlen_attn is not None else frozenset[str]()
"""Parameter names of this PyTorch's varlen kernel (they differ between versions); empty without the kernel.

Read once at import: reading a signature inside a compiled block would break its graph in two."""


def register() -> str:
    """Registers the implementation with transformers and returns its name."""
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    ALL_ATTENTION_FUNCTIONS.register(NAME, attend)
    return NAME


def available() -> bool:
    """Whether this PyTorch has the varlen kernel and a CUDA device."""
    return torch.cuda.is_available() and bool(_OPTIONS)


def attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None = None,
    scaling: float | None = None,
    dropout: float = 0.0,
    is_causal: bool | None = None,
    cu_seq_lens_q: torch.Tensor | None = None,
    max_length_q: int | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """(output_1THD, None) for packed query, key and value _1HTD; without boundaries the row is one sequence.

    Raises:
        ValueError: a padding mask, or more than one row.
    """
    if attention_mask is not None or query.shape[0] != 1:
        raise ValueError("varlen attention takes one packed row without padding mask; use attn_impl sdpa for others")
    if cu_seq_lens_q is None or max_length_q is None:
        max_length_q = query.shape[2]
        cu_seq_lens_q = torch.tensor([0, max_length_q], dtype=torch.int32, device=query.device)
    causal = getattr(module, "is_causal", True) if is_causal is None else is_causal
    scale = scaling if scaling is not None else query.shape[-1] ** -0.5
    dtype = _compute_dtype(query, value)
    if query.is_cuda and dtype in (torch.bfloat16, torch.float16) and _OPTIONS:
        q, k, v = (part[0].transpose(0, 1).to(dtype) for part in (query, key, value))
        return _in_one_call(q, k, v, cu_seq_lens_q, max_length_q, scale=scale, causal=causal)[None], None
    return _one_by_one(query, key, value, cu_seq_lens_q, scale=scale, causal=causal, dropout=dropout), None


def _in_one_call(
    query_THD: torch.Tensor,
    key_THD: torch.Tensor,
    value_THD: torch.Tensor,
    bounds: torch.Tensor,
    longest: int,
    *,
    scale: float,
    causal: bool,
) -> torch.Tensor:
    assert varlen_attn is not None
    arguments: dict[str, Any] = {}
    if "is_causal" in _OPTIONS:
        arguments["is_causal"] = causal
    else:
        arguments["window_size"] = (-1, 0) if causal else (-1, -1)
    if "scale" in _OPTIONS:
        arguments["scale"] = scale
    else:  # the kernel always divides by the root of the head size: multiply the query by what it cannot be given
        query_THD = query_THD * (scale * query_THD.shape[-1] ** 0.5)
    if "enable_gqa" in _OPTIONS:  # versions without this option share keys among query heads by themselves
        arguments["enable_gqa"] = query_THD.shape[1] != key_THD.shape[1]
    output = varlen_attn(query_THD, key_THD, value_THD, bounds, bounds, longest, longest, **arguments)
    assert isinstance(output, torch.Tensor)
    return output


def _one_by_one(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    bounds: torch.Tensor,
    *,
    scale: float,
    causal: bool,
    dropout: float,
) -> torch.Tensor:
    groups = query.shape[1] // key.shape[1]
    if groups > 1:
        key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    sizes = (bounds[1:] - bounds[:-1]).tolist()
    outputs = [
        scaled_dot_product_attention(q, k, v, dropout_p=dropout, is_causal=causal, scale=scale)
        for q, k, v in zip(query.split(sizes, 2), key.split(sizes, 2), value.split(sizes, 2), strict=True)
    ]
    return torch.cat(outputs, 2).transpose(1, 2)


def _compute_dtype(query: torch.Tensor, value: torch.Tensor) -> torch.dtype:
    """Autocast's dtype, else the value's: query and key may be float32, after a norm with float32 weights."""
    device = query.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else value.dtype
