"""Liger's Triton kernels for normalisation, rotary positions and gates. The loss stays this trainer's own, in chunks."""

from __future__ import annotations

from importlib.util import find_spec
from types import MethodType
from typing import Any

import torch

from vqc.errors import InvalidValue

_KEY = "training.use_liger_kernel"


def require_liger() -> None:
    """Checks that the kernels can be used here.

    Raises:
        InvalidValue: there is no GPU, or the package is missing.
    """
    if not torch.cuda.is_available():
        raise InvalidValue(_KEY, True, "its kernels need a GPU; remove it on a CPU")
    if find_spec("liger_kernel") is None:
        raise InvalidValue(_KEY, True, "needs the package: pip install 'liger-kernel>=0.8'")


def use_liger_kernels(model: Any) -> None:
    """Installs the kernels in this model, and its rotary positions in every Qwen3-VL of the process.

    Raises:
        InvalidValue: as ``require_liger``.
    """
    require_liger()
    from liger_kernel.transformers import (  # type: ignore[import-not-found]  # the extra `liger`
        LigerSwiGLUMLP,
        apply_liger_kernel_to_qwen3_vl,
    )

    apply_liger_kernel_to_qwen3_vl(
        rope=True, rms_norm=True, swiglu=False, cross_entropy=False, fused_linear_cross_entropy=False, model=model
    )
    for layer in model.model.language_model.layers:  # Liger's own option ``swiglu`` has no effect for this model
        layer.mlp.forward = MethodType(LigerSwiGLUMLP.forward, layer.mlp)
