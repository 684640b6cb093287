"""LoRA's product in few kernels: y = x Wᵀ + b + scale · (x Aᵀ) Bᵀ, the sum taken inside the matrix product.

peft adds scaled low-rank outputs to the layer's own in passes of their own and casts inputs to the adapter's float32 and
back; on a GPU that costs about as much as the layer. Here nothing of the layer's size is read or written for it but by
matrix products, and backward keeps the input alone. Compiled, layers that are given the same input share its product with
their A, and so do their gradients.

Axes: N tokens, I inputs, O outputs, R rank.
"""

from __future__ import annotations

from typing import Any

import torch
from peft.tuners.lora import Linear
from torch import nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import linear


class LowRankLinear(Linear):
    """peft's LoRA layer; what is not plain LoRA over a frozen linear layer is left to peft."""

    shared: SharedInput | None = None
    place = 0
    """Among the layers that share their input."""

    def forward(self, x: torch.Tensor, *rest: Any, **options: Any) -> torch.Tensor:
        """The layer's output in the precision of autocast, or of the layer."""
        if rest or options or not self._is_plain():
            return super().forward(x, *rest, **options)
        (name,) = self.active_adapters
        base: Any = self.get_base_layer()
        dropout: Any = self.lora_dropout[name]
        dropped = dropout(x) if self.training and getattr(dropout, "p", 0) else None
        down: Any = self.lora_A[name].weight
        up: Any = self.lora_B[name].weight
        if torch.compiler.is_compiling():  # the sum then joins what comes next, and backward is the compiler's
            shared = self.shared if dropped is None else None
            low = (
                shared.product(x, self.place) if shared is not None else linear(x if dropped is None else dropped, down)
            )
            return linear(x, base.weight, base.bias) + linear(low * self.scaling[name], up)
        output: Any = _Product.apply(x, dropped, base.weight, base.bias, down, up, self.scaling[name])
        return output

    def _is_plain(self) -> bool:
        active: Any = self.active_adapters
        if self.disable_adapters or self.merged or len(active) != 1 or active[0] not in self.lora_A:
            return False
        base: Any = self.get_base_layer()
        layers: tuple[Any, ...] = (self.lora_A[active[0]], self.lora_B[active[0]])
        frozen = type(base) is nn.Linear and not any(p.requires_grad for p in base.parameters())
        gathered = hasattr(base.weight, "ds_id")  # ZeRO-3 puts weights together in hooks of the layers it would pass by
        return (
            frozen
            and not gathered
            and active[0] not in self.lora_variant
            and not any(layer.bias is not None for layer in layers)
        )


class SharedInput:
    """Layers that are given the same input one after the other: the first has the products with all A made in one.

    An object of its own, since the compiler follows what is kept in one, but not in a module that it meets by two ways.
    """

    def __init__(self, *layers: torch.nn.Module) -> None:
        """Of layers that are no ``LowRankLinear`` nothing is said."""
        self.layers = tuple(layer for layer in layers if isinstance(layer, LowRankLinear))
        self._x: torch.Tensor | None = None
        self._waiting = dict[int, torch.Tensor]()
        for place, layer in enumerate(self.layers):
            layer.shared, layer.place = self, place

    def product(self, x: torch.Tensor, place: int) -> torch.Tensor:
        """x Aᵀ of the layer at that place."""
        if self._x is not x or place not in self._waiting:
            downs: list[Any] = [layer.lora_A[layer.active_adapters[0]].weight for layer in self.layers]
            products = linear(x, torch.cat(downs)).split([len(down) for down in downs], -1)
            self._x, self._waiting = x, dict(enumerate(products))
        found = self._waiting.pop(place)
        if not self._waiting:
            self._x = None
        return found


class _Product(torch.autograd.Function):
    """``dropped`` is the adapter's input where that is not ``x``."""

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        dropped: torch.Tensor | None,
        weight_OI: torch.Tensor,
        bias_O: torch.Tensor | None,
        down_RI: torch.Tensor,
        up_OR: torch.Tensor,
        scale: float,
    ) -> torch.Tensor:
        device = x.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else weight_OI.dtype
        x_NI = x.reshape(-1, x.shape[-1]).to(dtype)
        dropped_NI = x_NI if dropped is None else dropped.reshape(x_NI.shape).to(dtype)
        y_NO = linear(x_NI, weight_OI.to(dtype), bias_O.to(dtype) if bias_O is not None else None)
        cast_RI, cast_OR = down_RI.to(dtype), up_OR.to(dtype)  # once: backward takes the same
        low_NR = dropped_NI @ cast_RI.T
        y_NO.addmm_(low_NR, cast_OR.T, alpha=scale)
        ctx.save_for_backward(dropped_NI, low_NR, weight_OI, cast_RI, cast_OR)
        ctx.scale, ctx.given, ctx.same = scale, x.dtype, dropped is None
        ctx.trained = down_RI.dtype, up_OR.dtype
        return y_NO.view(*x.shape[:-1], -1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # type: ignore[override]
        dropped_NI, low_NR, weight_OI, cast_RI, cast_OR = ctx.saved_tensors
        dtype = low_NR.dtype
        dy_NO = dy.reshape(-1, dy.shape[-1]).to(dtype)
        dlow_NR = (dy_NO @ cast_OR).mul_(ctx.scale)
        ddown_RI = (dlow_NR.T @ dropped_NI).to(ctx.trained[0])
        dup_OR = (dy_NO.T @ low_NR).to(ctx.trained[1]).mul_(ctx.scale)
        shape = (*dy.shape[:-1], -1)
        dx = ddropped = None
        if ctx.needs_input_grad[0]:
            dx_NI = dy_NO @ weight_OI.to(dtype)
            if ctx.same:
                dx_NI.addmm_(dlow_NR, cast_RI)
            dx = dx_NI.view(shape).to(ctx.given)
        if not ctx.same and ctx.needs_input_grad[1]:
            ddropped = (dlow_NR @ cast_RI).view(shape).to(ctx.given)
        return dx, ddropped, None, None, ddown_RI, dup_OR, None
