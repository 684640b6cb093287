"""LoRA in few kernels: y = x Wᵀ + b + scale · (x Aᵀ) Bᵀ, with the sum inside the matrix product.

peft adds the scaled low-rank output to the layer's output in separate passes, and casts inputs to the adapter's float32
and back. On a GPU that costs about as much as the layer itself. Here only matrix products read or write tensors of the
layer's size, and the backward pass keeps only the input. When compiled, layers with the same input share its product with
their A matrices, and the gradients of it.

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
    """peft's LoRA layer. Anything but plain LoRA over a frozen linear layer is left to peft."""

    shared: SharedInput | None = None
    place = 0
    """Position among the layers that share their input."""

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
        if torch.compiler.is_compiling():  # the compiler fuses the sum with what follows, and derives the backward pass
            shared = self.shared if dropped is None else None  # dropout gives each layer another input
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
        gathered = hasattr(base.weight, "ds_id")  # ZeRO-3 gathers weights in hooks of layers, which would not be called
        return (
            frozen
            and not gathered
            and active[0] not in self.lora_variant
            and not any(layer.bias is not None for layer in layers)
        )


class SharedInput:
    """Layers that get the same input one after another: the first one computes the products with all A matrices at once.

    It is a plain object: the compiler tracks attributes of an object, but not of a module that it reaches by two paths.
    """

    def __init__(self, *layers: torch.nn.Module) -> None:
        """Ignores layers that are not a ``LowRankLinear``."""
        self.layers = tuple(layer for layer in layers if isinstance(layer, LowRankLinear))
        self._x: torch.Tensor | None = None
        self._waiting = dict[int, torch.Tensor]()
        for place, layer in enumerate(self.layers):
            layer.shared, layer.place = self, place

    def product(self, x: torch.Tensor, place: int) -> torch.Tensor:
        """x Aᵀ of the layer at that place."""
        # The same input means the same tensor object. Each product is handed out once: a layer that asks again runs a
        # second time, and a product of the first run would belong to another graph.
        if self._x is not x or place not in self._waiting:
            downs: list[Any] = [layer.lora_A[layer.active_adapters[0]].weight for layer in self.layers]
            products = linear(x, torch.cat(downs)).split([len(down) for down in downs], -1)
            self._x, self._waiting = x, dict(enumerate(products))
        found = self._waiting.pop(place)
        if not self._waiting:
            self._x = None  # do not keep the activation alive
        return found


class _Product(torch.autograd.Function):
    """The product of a layer and its adapter. ``dropped`` is the adapter's input if dropout makes it another than ``x``."""

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
        cast_RI, cast_OR = down_RI.to(dtype), up_OR.to(dtype)  # cast once, the backward pass uses the same
        low_NR = dropped_NI @ cast_RI.T
        y_NO.addmm_(low_NR, cast_OR.T, alpha=scale)  # adds in the kernel of the product: no N x O tensor in between
        # The frozen weight needs no gradient, so x itself is not saved, only the adapter's input.
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
